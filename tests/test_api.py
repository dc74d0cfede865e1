"""The API tells of clients, reasons, releases and drift what the files and the history hold; outcomes are kept once."""

import json

import numpy as np
import pytest
from scipy.special import expit

import app
import scoring
from churn import clients as current_clients
from churn import decisions, estimators, releases
from churn.history.store import connect
from churn.words import band
from demo import fabricate
from tests import loop
from tests.conftest import CORPORATE, make_product
from tests.full_site import ROW, make_full_site
from tests.serving_site import client, copy_site


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return make_full_site(tmp_path_factory.mktemp("full"))


@pytest.fixture(scope="module")
def api(site):
    return client(site)


@pytest.fixture
def written(site, tmp_path):
    """The app on a copy, to write to."""
    site.versions, site.risks = [], {}
    return client(copy_site(site, tmp_path / "copy"))


@pytest.fixture(scope="module")
def release(site):
    return releases.load(releases.current(site.product))


def ranked(site):
    """All clients with their risk by the release in production, most at risk first."""
    frame = current_clients.current(site.product)
    risk = estimators.risks(releases.load(releases.current(site.product)).model, frame)
    order = np.argsort(-risk, kind="stable")
    return [(frame["corporation"].iloc[i], float(risk[i])) for i in order]


def message(answer):
    return answer.json["error"]["message"]


# ---- clients ---------------------------------------------------------------------------------------------------------


def test_before_anything_was_in_production_there_are_no_releases(tmp_path):
    answer = app.create_app(make_product(tmp_path).config_path).test_client().get("/releases")
    assert (answer.status_code, answer.json["releases"], answer.json["model_version"]) == (200, [], None)


def test_clients_come_by_risk_a_page_at_a_time(site, api):
    expected = ranked(site)
    first, second = (api.get(f"/clients?limit=100&page={page}").json for page in (1, 2))
    assert [(one["client"], one["risk"]) for one in first["clients"] + second["clients"]] == expected[:200]
    assert [one["rank"] for one in second["clients"]] == list(range(101, 201))
    assert (first["total"], second["page"], second["limit"]) == (len(expected), 2, 100)
    assert api.get("/clients?limit=500&page=1000").json["clients"] == []
    assert first["scored_by"] == first["model_version"] == releases.current_version(site.product)


def test_each_client_has_its_risk_of_the_time_before(site, api):
    with connect(site.product) as book:
        before = {row["client"]: row["risk"] for row in book.clients(limit=10**6).rows}
        batch = book.batches("clients")[-2]
    assert batch["version"] != releases.current_version(site.product)
    shown = api.get("/clients?limit=5").json["clients"]
    assert all(one["before"] not in (None, before[one["client"]]) for one in shown)


def test_clients_are_searched_by_name_and_by_risk(site, api):
    expected = ranked(site)
    some = expected[7][0][1:3]
    found = api.get("/clients", query_string={"search": some.upper(), "limit": 500}).json
    assert [one["client"] for one in found["clients"]] == [name for name, _ in expected if some in name][:500]
    low, high = expected[60][1], expected[20][1]
    found = api.get(f"/clients?lowest={low!r}&highest={high!r}").json
    assert [one["client"] for one in found["clients"]] == [name for name, risk in expected if low <= risk <= high]
    assert found["total"] == len(found["clients"])


def test_the_bands_divide_the_clients_and_are_those_of_the_words(site, api, release):
    expected, totals = ranked(site), {}
    for name in ("very high", "high", "medium", "low"):
        found = api.get("/clients", query_string={"band": name, "limit": 500}).json
        totals[name] = found["total"]
        assert {one["band"] for one in found["clients"]} <= {name}
        assert found["total"] == sum(band(risk, release.threshold) == name for _, risk in expected)
    assert sum(totals.values()) == len(expected)
    assert min(totals.values()) > 0


def test_a_client_has_its_risk_now_its_reasons_and_its_past(site, api, release):
    name, risk = ranked(site)[0]
    found = api.get(f"/clients/{name}").json
    now = found["now"]
    assert (found["client"], now["risk"], now["band"]) == (name, risk, band(risk, release.threshold))
    assert {one["column"] for one in now["reasons"]} == set(release.columns.features)
    parts = [one["part"] for one in now["reasons"]]
    assert [abs(part) for part in parts] == sorted((abs(part) for part in parts), reverse=True)
    assert "raises the risk most" in now["reasons"][0]["words"]
    assert [past["version"] for past in found["risks"]] == [*releases.versions(site.product)[::-1]]
    assert found["risks"][-1] | {"rank": 1, "risk": risk} == found["risks"][-1]
    assert found["risks"][-1]["of"] == len(ranked(site))
    assert found["labels"] != [] or found["contacts"] == []


def test_an_unknown_client_is_not_found(api):
    answers = [api.get(f"/clients/{name}") for name in ("nobody", "a/b", "%00", "%ff", "..%2f..%2fetc", "' OR 1=1 --")]
    assert [answer.status_code for answer in answers] == [404] * len(answers)
    assert {message(answer) for answer in answers} == {"no such client"}


def test_a_client_whose_row_is_gone_still_has_its_past(site, tmp_path):
    site.versions, site.risks = [], {}
    copied = copy_site(site, tmp_path / "copy")
    name = ranked(site)[3][0]
    frame = current_clients.current(copied.product)
    current_clients.write_rows(copied.product, frame[frame["corporation"] != name])
    found = client(copied).get(f"/clients/{name}").json
    assert found["now"] is None
    assert len(found["risks"]) == 2
    (copied.product.reports / current_clients.ROWS).unlink()
    answer = client(copied).get(f"/clients/{name}")
    assert answer.status_code == 503
    assert "python scoring.py --product corporate" in message(answer)


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("page=0", "page"),
        ("page=x", "page"),
        ("limit=501", "limit"),
        ("limit=1&limit=2", "limit"),
        ("lowest=nan", "lowest"),
        ("highest=1.1", "highest"),
        ("band=lowest", "band"),
        ("lowset=0.5", "lowset"),
        ("search=" + "a" * 201, "search"),
    ],
)
def test_a_query_that_does_not_fit_is_refused_by_its_name(api, query, place):
    answer = api.get(f"/clients?{query}")
    assert answer.status_code == 422
    assert message(answer).startswith(f"{place}: ")


# ---- reasons ---------------------------------------------------------------------------------------------------------


def test_base_and_parts_add_up_to_the_log_odds_from_which_the_risk_is_made(api, release):
    rows = [ROW, ROW | {"lastmonth_activity": None, "lastyear_activity": "0"}, {**ROW, "number_of_employees": 5000}]
    found = api.post("/explain", json={"rows": rows}).json["explanations"]
    asked = api.post("/prediction", json={"rows": rows}).json["predictions"]
    slope, intercept = estimators.calibration(release.model)
    for one, predicted in zip(found, asked, strict=True):
        total = one["base"] + sum(reason["part"] for reason in one["reasons"])
        assert total == pytest.approx(one["log_odds"], abs=1e-9)
        assert expit(slope * total + intercept) == pytest.approx(one["risk"], abs=1e-9)
        assert (one["risk"], one["id"]) == (predicted["risk"], "abcd")
    assert found[1]["reasons"] != found[0]["reasons"]
    missing = next(reason for reason in found[1]["reasons"] if reason["column"] == "lastmonth_activity")
    assert missing["value"] is None
    assert missing["words"].startswith("lastmonth activity missing")


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"rows": [ROW] * 101}, 422, "rows: "),
        ({"rows": [ROW, {**ROW, "lastyear_activity": "x"}]}, 422, "row 2: lastyear_activity"),
        ({"rows": [{}]}, 422, "row 1: missing"),
        ({"dataset_path": "clients.csv"}, 422, "rows: Field required"),
        ([], 422, "object"),
    ],
)
def test_what_cannot_be_explained_is_refused(api, body, status, said):
    answer = api.post("/explain", json=body)
    assert answer.status_code == status
    assert said in message(answer)
    assert api.post("/explain", json={"rows": []}).json["explanations"] == []


# ---- over time -------------------------------------------------------------------------------------------------------


def test_releases_say_what_was_in_production_from_when_until_when_and_why(site, api):
    found = api.get("/releases").json
    entries = releases.history(site.product)
    assert found["model_version"] == entries[-1]["version"]
    told = found["releases"][::-1]
    assert [(one["version"], one["from"], one["why"]) for one in told] == [
        (entry["version"], entry["from"], entry["why"]) for entry in entries
    ]
    assert [one["until"] for one in told] == [*(entry["from"] for entry in entries[1:]), None]
    manifest = releases.read_manifest(site.product.production / entries[1]["version"])
    assert (told[1]["scores"], told[1]["verdict"]) == (manifest["scores"], manifest["verdict"])


def test_drift_shows_the_newest_judgements_with_estimates_beside_what_came(site, api):
    found = api.get("/drift?limit=2").json
    lines = decisions.judgements(site.product)[::-1]
    assert [one["drops"] for one in found["judgements"]] == [line["drops"] for line in lines[:2]]
    newest = found["judgements"][0]
    assert found["verdict"] == newest["verdict"] == "drifted"
    assert newest["scores"] == lines[0]["scores"]
    assert {one["metric"] for one in newest["compared"]} == {"f1", "roc_auc"}
    assert newest["below_deployed"] is True


def test_drift_lists_the_columns_that_have_shifted(site, tmp_path):
    site.versions, site.risks = [], {}
    product = copy_site(site, tmp_path / "copy").product
    line = decisions.judgements(product)[-1]
    line["seen"]["shifted"] = {"lastmonth_activity": "lastmonth activity: median 3, was 20"}
    line["moves"] = {"lastmonth_activity": 0.25}
    decisions.write_judgement(product, line)
    site.product, kept = product, site.product
    shown = client(site).get("/drift?limit=1").json["judgements"][0]["shifts"]
    site.product = kept
    assert shown == [
        {"column": "lastmonth_activity", "words": "lastmonth activity: median 3, was 20", "list_moved": 0.25}
    ]


# ---- outcomes --------------------------------------------------------------------------------------------------------


def sent(name, **contact):
    return {
        "outcomes": [{"client": name, "left": True}],
        "contacts": [{"client": name, "at": "2026-11-20T10:00:00+01:00", "kind": "called", **contact}],
    }


def test_outcomes_and_contacts_are_kept_once_in_utc(site, written):
    name = ranked(site)[0][0]
    body = sent(name, outcome="stays", note="=1+1")
    first, again = (written.post("/outcomes", json=body).json for _ in range(2))
    assert first == {"product": "corporate", "outcomes": {"sent": 1, "new": 1}, "contacts": {"sent": 1, "new": 1}}
    assert again == {"product": "corporate", "outcomes": {"sent": 1, "new": 0}, "contacts": {"sent": 1, "new": 0}}
    found = written.get(f"/clients/{name}").json
    contact = {"at": "2026-11-20T09:00:00Z", "kind": "called", "outcome": "stays", "note": "=1+1", "until": None}
    assert found["contacts"] == [contact | {"by": None}]
    assert found["labels"][-1]["left"] is True
    assert found["labels"][-1]["drop"] is None
    assert written.post("/outcomes", json=sent(name, note="another")).json["contacts"]["new"] == 1
    assert [one["note"] for one in written.get(f"/clients/{name}").json["contacts"]] == ["another"]


def test_a_snoozed_client_is_snoozed(site, written):
    name = ranked(site)[0][0]
    body = {"contacts": [{"client": name, "at": "2026-11-20T10:00:00Z", "kind": "snoozed", "until": "2027-01-31"}]}
    assert written.post("/outcomes", json=body).status_code == 200
    assert written.get(f"/clients/{name}").json["contacts"][0]["until"] == "2027-01-31"


def test_nothing_sent_is_nothing_kept(written):
    assert written.post("/outcomes", json={}).json["outcomes"] == {"sent": 0, "new": 0}


FAULTS = {
    "unknown client": (
        {"outcomes": [{"client": "NAME", "left": True}, {"client": "x", "left": True}]},
        "outcome 2: cl",
    ),
    "unknown called": (
        {"contacts": [{"client": "x", "at": "2026-11-20T10:00:00Z", "kind": "called"}]},
        "contact 1: cl",
    ),
    "left is text": ({"outcomes": [{"client": "NAME", "left": "yes"}]}, "outcome 1: left: "),
    "date that is none": (
        {"outcomes": [{"client": "NAME", "left": True, "as_of": "2026-02-30"}]},
        "outcome 1: as_of: ",
    ),
    "date of a product without": (
        {"outcomes": [{"client": "NAME", "left": True, "as_of": "2026-02-03"}]},
        "outcome 1: as_of: the product's rows have no date",
    ),
    "no zone": (sent("NAME", at="2026-11-20T10:00:00"), "contact 1: at: "),
    "seconds since 1970": (sent("NAME", at=1763632800), "contact 1: at: "),
    "after time": (sent("NAME", at="9999-12-31T23:59:00-23:59"), "contact 1: at: "),
    "future": (sent("NAME", at="2099-01-01T00:00:00Z"), "contact 1: at: lies in the future"),
    "before time": (sent("NAME", at="0001-01-01T00:00:00+23:59"), "contact 1: at: "),
    "unknown kind": (sent("NAME", kind="emailed"), "contact 1: kind: "),
    "snoozed for ever": (sent("NAME", kind="snoozed"), "contact 1: until belongs to snoozed"),
    "called until": (sent("NAME", until="2027-01-01"), "contact 1: until belongs to snoozed"),
    "unknown key": (sent("NAME", by="me"), "contact 1: by: "),
    "NUL": (sent("NAME", note="a\0b"), "contact 1: note: holds a NUL"),
    "long note": (sent("NAME", note="a" * 2001), "contact 1: note: "),
    "no name": ({"outcomes": [{"client": "", "left": True}]}, "outcome 1: client: "),
    "too many": ({"outcomes": [{"client": "NAME", "left": True}] * 10_001}, "outcomes: "),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_and_nothing_is_kept(api, fault):
    name = api.get("/clients?limit=1").json["clients"][0]["client"]
    body, said = FAULTS[fault]
    good = {"client": name, "left": True}
    body = json.loads(json.dumps(body).replace("NAME", name))
    before = api.get(f"/clients/{name}").json
    answer = api.post("/outcomes", json=body | ({} if "outcomes" in body else {"outcomes": [good]}))
    assert answer.status_code == 422
    assert said in message(answer)
    after = api.get(f"/clients/{name}").json
    assert (after["labels"], after["contacts"]) == (before["labels"], before["contacts"])


def test_of_two_labels_in_one_request_the_later_one_counts(site, written):
    name = ranked(site)[0][0]
    both = [{"client": name, "left": True}, {"client": name, "left": False}]
    assert written.post("/outcomes", json={"outcomes": both}).json["outcomes"] == {"sent": 2, "new": 1}
    assert written.get(f"/clients/{name}").json["labels"][-1]["left"] is False


def test_keys_that_stand_twice_are_refused(site, written):
    name = ranked(site)[0][0]
    body = f'{{"outcomes": [{{"client": "{name}", "left": true, "left": false}}]}}'
    answer = written.post("/outcomes", data=body, content_type="application/json")
    assert answer.status_code == 400
    assert "'left' stands twice" in message(answer)


# ---- a product whose rows have dates ---------------------------------------------------------------------------------


def test_where_rows_have_dates_outcomes_are_about_one_of_them(tmp_path):
    product = loop.make(tmp_path, **loop.LATE)
    for month in (1, 2):
        loop.monthly(product, month, clients=600)
    loop.decide(product)
    scoring.score_clients(product)
    http = app.create_app(product.config_path).test_client()
    first = http.get("/clients?limit=1").json["clients"][0]
    assert first["as_of"] == "2026-02-01"
    label = {"client": first["client"], "as_of": "2026-02-01", "left": True}
    assert http.post("/outcomes", json={"outcomes": [label]}).json["outcomes"] == {"sent": 1, "new": 1}
    assert http.post("/outcomes", json={"outcomes": [label]}).json["outcomes"] == {"sent": 1, "new": 0}
    found = http.get(f"/clients/{first['client']}").json
    assert (found["as_of"], found["risks"][-1]["as_of"]) == ("2026-02-01", "2026-02-01")
    sent = [one for one in found["labels"] if one["drop"] is None]
    assert [(one["as_of"], one["left"]) for one in sent] == [("2026-02-01", True)]
    answer = http.post("/outcomes", json={"outcomes": [{"client": first["client"], "left": True}]})
    assert answer.status_code == 422
    assert "outcome 1: as_of: the product's rows have a date, day, so it is needed" in message(answer)


def test_a_product_without_an_id_knows_no_clients(tmp_path):
    settings = {key: value for key, value in CORPORATE.items() if key != "id"}
    product = loop.make(tmp_path, **settings)
    frame = fabricate.world(600, 1, 11, fabricate.Drift()).drop(columns="corporation")
    fabricate.save(frame, product.source / fabricate.file_name("corporate", 1))
    loop.decide(product)
    scoring.score_clients(product)
    http = app.create_app(product.config_path).test_client()
    told = http.get("/clients").json
    assert (told["total"], told["clients"], told["scored_at"]) == (0, [], None)
    assert http.get("/clients/abcd").status_code == 404
    row = {name: value for name, value in ROW.items() if name != "corporation"}
    assert "id" not in http.post("/explain", json={"rows": [row]}).json["explanations"][0]
    assert http.post("/prediction?format=csv", json={"rows": [row]}).text.startswith("risk,leaves\r\n")
