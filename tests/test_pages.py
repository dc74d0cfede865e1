"""The pages as a browser without script gets them: what stands there, and what its forms do."""

import csv
import io
import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from html import unescape
from html.parser import HTMLParser

import pytest

import app
from churn import dataset, releases, stage, storage
from churn.history import pages as history_pages
from churn.history import today as lists
from churn.history.store import connect
from churn.web.guard import tokens
from churn.web.guard.tokens import Tokens
from churn.web.pages import asking, chart, health, shading, whatif, wording
from demo import fabricate
from tests import pages_site

TODAY, CLIENTS = "/products/corporate/", "/products/corporate/clients"
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
PAGES = ("", "clients", "model", "releases", "data")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return pages_site.make(tmp_path_factory.mktemp("pages"))


@pytest.fixture
def browser(site):
    made = app.create_app(site.config_path, Tokens())
    yield made.test_client()
    for served in made.extensions["churn"].products.values():
        if served._book:
            served._book.close()


class Page(HTMLParser):
    """What a page says (without what only its tags say), its tags, and the rows of its tables."""

    def __init__(self, text):
        super().__init__()
        self.words, self.tags, self.rows = [], [], []
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_data(self, data):
        self.words.append(data)
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] = " ".join(f"{self.rows[-1][-1]} {data}".split())

    def of(self, tag, **attributes):
        """The attributes of the tags of this kind that have these."""
        wanted = {name.replace("_", "-"): value for name, value in attributes.items()}
        return [found for name, found in self.tags if name == tag and wanted.items() <= found.items()]

    def column(self, place):
        """The cells of a column, without its head."""
        return [row[place] for row in self.rows[1:] if len(row) > place]


def get(browser, path, status=200, **query):
    answer = browser.get(path, query_string=query or None)
    assert answer.status_code == status, answer.text
    assert answer.mimetype == "text/html"
    return Page(answer.text)


def send(browser, path, **form):
    return browser.post(path, data=form, headers=SAME_ORIGIN)


def listed(browser, **query):
    return get(browser, TODAY, **query).column(1)


def book_of(site, product="corporate"):
    return connect(site.products[product])


def on_the_list(site):
    with book_of(site) as book:
        return [row for row in book.last_list().rows if row["status"] in ("entered", "stayed")]


# ---- every page ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("product", pages_site.PRODUCTS)
@pytest.mark.parametrize("page", PAGES)
def test_every_page_of_every_product_stands_and_has_one_heading_and_its_landmarks(browser, product, page):
    found = get(browser, f"/products/{product}/{page}")
    assert len(found.of("h1")) == len(found.of("main")) == len(found.of("header", **{"class": "bar"})) == 1
    assert found.of("a", href="#content", **{"class": "skip"})
    assert [link["href"] for link in found.of("a", aria_current="page")] == [f"/products/{product}/{page}"]
    assert not [attrs for _, attrs in found.tags if "style" in attrs or any(name.startswith("on") for name in attrs)]
    assert not found.of("style")
    assert all(script.get("src") for script in found.of("script"))
    loaded = [*found.of("script"), *found.of("img"), *found.of("link")]
    assert all((one.get("src") or one.get("href")).startswith("/") for one in loaded)
    ids = [attrs["id"] for _, attrs in found.tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_the_overview_shows_every_product_and_what_waits_there(browser, site):
    page = get(browser, "/")
    for name in pages_site.PRODUCTS:
        assert {"href": f"/products/{name}/"}.items() <= next(
            link for link in page.of("a") if link.get("href") == f"/products/{name}/"
        ).items()
    assert "70 clients still to call" in page.text
    assert "Nothing yet" in page.text


def test_with_one_product_the_overview_is_its_page(site, tmp_path):
    config = tmp_path / "config.json"
    config.write_text('{"products": {"fresh": {"target": "t", "positive": "1", "numeric": ["x"]}}, ' + FOLDERS_JSON)
    browser = app.create_app(config, Tokens()).test_client()
    answer = browser.get("/")
    assert (answer.status_code, answer.location) == (302, "/products/fresh/")


FOLDERS_JSON = ", ".join(f'"{key}": "{value}"' for key, value in pages_site.FOLDERS.items()) + "}"


def test_what_is_empty_says_what_to_do_next(browser):
    assert "python fullprocess.py --product fresh" in get(browser, "/products/fresh/").text
    assert "python fullprocess.py --product fresh" in get(browser, "/products/fresh/clients").text
    assert "python reporting.py --product fresh" in get(browser, "/products/fresh/model").text
    assert "python fullprocess.py --product fresh" in get(browser, "/products/fresh/releases").text
    assert "python ingestion.py --product fresh" in get(browser, "/products/fresh/data").text
    for page in ("", "clients"):
        text = get(browser, f"/products/nameless/{page}").text
        assert "This product has no id column" in text
        assert "id in the config file" in text
    assert "has no id column" in get(browser, "/products/nameless/clients/1", status=404).text


def test_an_error_is_a_page_with_its_number_and_without_the_inside(browser):
    answer = browser.get("/products/corporate/clients/nobody")
    assert answer.status_code == 404
    page = Page(answer.text)
    assert "no such client" in page.text.lower()
    assert answer.headers["X-Request-Id"] in page.text
    assert get(browser, "/products/none/", status=404).of("main")


# ---- today -----------------------------------------------------------------------------------------------------------


def test_today_says_in_words_whether_all_is_well(browser, site):
    text = get(browser, TODAY).text
    for words in ("Last run Done", "Drift", "In production 0002-", "F1 when tested 0."):
        assert words in text
    line = '{"at": "2020-01-01T00:00:00Z", "script": "fullprocess", "outcome": "fixable", "seconds": 1, "text": "TEXT"}'
    path = site.products["corporate"].logs / "runs.jsonl"
    before = path.read_text()
    try:
        path.write_text(before + line.replace("TEXT", f"{site.home}/a.csv: torn; mend it") + '\n{"torn')
        text = get(browser, TODAY).text
        assert "Needs you" in text
        assert "a.csv: torn; mend it" in text
        assert str(site.home) not in text
        path.write_text(before + line.replace("TEXT", "kept; all is well").replace("fixable", "done") + "\n")
        assert "Long ago No run for more than an hour." in get(browser, TODAY).text
    finally:
        path.write_text(before)


def test_the_list_has_rank_risk_in_words_trend_value_reasons_and_status(browser, site):
    page, rows = get(browser, TODAY), on_the_list(site)
    assert "1 to 50 of 70 clients" in page.text
    assert page.column(1) == [row["client"] for row in rows[:50]]
    threshold = health.threshold_of(site.products["corporate"])
    for shown, row in zip(page.rows[1:], rows, strict=False):
        rank, _, risk, trend, value, reasons, contact, status = shown[:8]
        known = wording.risk_of(row["risk"], threshold)
        assert (rank, risk) == (str(row["rank"]), f"{known['percent']} {known['band']}")
        assert re.match(r"[↑↓] (up|down) [\d.]+ points? was [\d.]+%|→ as last time", trend)
        assert value.replace(",", "") == f"{row['value']:.0f}"
        assert "typical" in reasons
        assert "raises the risk" in reasons
        assert contact == ""
        assert status.startswith("new" if row["status"] == "entered" else "still on it")


def test_the_list_is_paged(browser, site):
    rows = on_the_list(site)
    page = get(browser, TODAY, page=2)
    assert page.column(1) == [row["client"] for row in rows[50:]]
    assert page.of("a", rel="prev")[0]["href"] == TODAY
    assert not page.of("a", rel="next")
    assert get(browser, TODAY, page=9999).column(1) == page.column(1)


@pytest.mark.parametrize("column", [name for name in lists.SORTS if name not in ("reasons", "contact", "status")])
def test_every_column_sorts_both_ways_and_says_so(browser, site, column):
    keys = {
        "rank": lambda row: row["rank"],
        "client": lambda row: row["client"],
        "risk": lambda row: row["risk"],
        "value": lambda row: row["value"],
        "trend": lambda row: row["risk"] - before[row["client"]],
    }
    with book_of(site) as book:
        before = {row["client"]: row["before"] for row in book.clients(limit=1000).rows}
    rows = {row["client"]: row for row in on_the_list(site)}
    for order, down in (("up", False), ("down", True)):
        page = get(browser, TODAY, sort=f"{column}.{order}")
        shown = [keys[column](rows[name]) for name in page.column(1)]
        assert shown == sorted(shown, reverse=down)
        assert len(shown) == 50
        heads = [head["aria-sort"] for head in page.of("th") if "aria-sort" in head]
        assert heads == ["descending" if down else "ascending"]
        other = "up" if down else "down"
        assert any(f"sort={column}.{other}" in link.get("href", "") for link in page.of("a")) or column == "rank"


def test_where_all_clients_are_worth_the_same_no_value_is_shown_and_none_sorted_by(browser):
    valued, alike = get(browser, TODAY), get(browser, "/products/viewers/", sort="value.down")
    assert "ranked by expected gain" in valued.text
    assert "ranked by risk" in alike.text
    assert valued.rows[0][4] == "Value"
    assert "Value" not in alike.rows[0]
    assert alike.rows[1][0] == "1"
    assert len(valued.rows[0]) == len(valued.rows[1]) == len(alike.rows[1]) + 1


def test_odd_questions_of_the_address_are_brought_into_bounds(browser):
    for query in (
        {"sort": "x; DROP"},
        {"page": "-1"},
        {"page": "9" * 30},
        {"band": "<b>"},
        {"only": "\0"},
        {"page": "²"},
    ):
        assert len(get(browser, TODAY, **query).column(1)) == 50
    assert "Nobody on the list is like that" in get(browser, TODAY, q="%").text
    assert "Nobody on the list is like that" in get(browser, TODAY, q="\0'\"--" * 50).text


def test_search_and_filters_leave_what_they_say(browser, site):
    rows, threshold = on_the_list(site), health.threshold_of(site.products["corporate"])
    name = rows[3]["client"]
    assert listed(browser, q=name.upper()) == [name]
    assert listed(browser, only="new") == [row["client"] for row in rows if row["status"] == "entered"][:50]
    counts = []
    for band in wording.BANDS:
        wanted = [row["client"] for row in rows if wording.risk_of(row["risk"], threshold)["band"] == band]
        assert listed(browser, band=band) == wanted[:50]
        counts.append(len(wanted))
    assert sum(counts) == len(rows)
    assert sum(bool(count) for count in counts) >= 3


def test_reasons_are_shaded_on_one_scale_with_a_legend(browser, site):
    page, rows = get(browser, TODAY, shade="1"), on_the_list(site)
    assert "checked" in page.of("input", id="shade")[0]
    assert "checked" not in get(browser, TODAY).of("input", id="shade")[0]
    shades = [item["class"] for item in page.of("li") if re.match("raises|lowers|none", item.get("class", ""))]
    legend, cells = shades[: len(shading.LEGEND)], shades[len(shading.LEGEND) :]
    assert legend == [key for key, _ in shading.LEGEND]
    assert cells == [shading.shade(reason["part"]) for row in rows[:50] for reason in row["reasons"]]
    assert len(set(cells)) > 4


def test_shades_are_the_same_wherever_they_stand():
    assert [shading.shade(part) for part in (-9, -0.3, -0.05, 0, 0.1, 0.25, 0.6, 1, 1.5)] == [
        *("lowers-5", "lowers-2", "none", "none", "raises-1", "raises-2", "raises-3", "raises-4", "raises-5")
    ]
    assert [words for _, words in shading.LEGEND][-2:] == ["× 2.7", "× 4.5"]


def test_the_download_is_the_list_by_the_name_of_the_day_and_safe(browser, site):
    answer = browser.get("/products/corporate/calllist.csv")
    day = stage.utc_now()[:10]
    assert answer.headers["Content-Disposition"] == f"attachment; filename=calllist-corporate-{day}.csv"
    assert answer.mimetype == "text/csv"
    assert answer.data == (site.products["corporate"].reports / "calllist.csv").read_bytes()
    table = list(csv.DictReader(io.StringIO(browser.get("/products/viewers/calllist.csv").data.decode("utf-8-sig"))))
    assert table
    assert not [cell for row in table for cell in row.values() if cell[:1] in "=+-@" and cell]
    assert browser.get("/products/fresh/calllist.csv").status_code == 404


# ---- marking ---------------------------------------------------------------------------------------------------------


def test_a_call_is_kept_with_its_outcome_and_shows_at_once(browser, site):
    client = on_the_list(site)[0]["client"]
    back = f"{TODAY}?only=waiting#r1"
    answer = send(browser, f"{CLIENTS}/{client}/contacts", kind="called", outcome="will stay", note="=soon", back=back)
    assert (answer.status_code, answer.location) == (303, f"{TODAY}?only=waiting&done=called#r1")
    with book_of(site) as book:
        (contact,) = book.contacts(client)
    assert (contact["kind"], contact["outcome"], contact["note"], contact["until"]) == (
        "called",
        "will stay",
        "=soon",
        None,
    )
    page = get(browser, answer.location.partition("#")[0])
    assert "The call is kept." in page.text
    assert client not in page.column(1)
    assert listed(browser, only="called") == [client]
    row = get(browser, TODAY).rows[1]
    assert row[1] == client
    assert row[6].startswith("Called: will stay just now")
    assert row[7].startswith("called")
    assert "1 called" in get(browser, TODAY).text
    assert "Called: will stay" in get(browser, f"{CLIENTS}/{client}").text


def test_who_is_snoozed_is_off_the_list_at_once_and_comes_back_on_the_day(browser, site):
    client = on_the_list(site)[5]["client"]
    until = (date.fromisoformat(stage.utc_now()[:10]) + timedelta(days=9)).isoformat()
    answer = send(browser, f"{CLIENTS}/{client}/contacts", kind="snoozed", until=until, note="contract runs on")
    assert (answer.status_code, answer.location) == (303, f"{CLIENTS}/{client}?done=snoozed")
    assert client not in listed(browser) + listed(browser, page=2)
    assert listed(browser, only="snoozed") == [client]
    assert re.search(r"6[89] still to call", get(browser, TODAY).text)
    assert f"off the list until {wording.day(until)}" in get(browser, f"{CLIENTS}/{client}").text
    assert f"{client},".encode() not in browser.get("/products/corporate/calllist.csv").data
    with book_of(site) as book:
        assert client in book.snoozed(stage.utc_now()[:10])
        assert client in [row["client"] for row in lists.page(book, lists.Wanted(limit=99), until).rows]


def test_a_note_does_not_hide_that_a_client_was_called_or_snoozed(browser, site):
    called, snoozed = (on_the_list(site)[i]["client"] for i in (12, 13))
    until = (date.fromisoformat(stage.utc_now()[:10]) + timedelta(days=9)).isoformat()
    at, later = stage.utc_now(), "2099-01-01T00:00:00Z"
    with book_of(site) as book:
        book.write_contacts([{"client": called, "at": at, "kind": "called", "outcome": "will stay"}])
        book.write_contacts([{"client": snoozed, "at": at, "kind": "snoozed", "until": until}])
        notes = [{"client": one, "at": later, "kind": "noted", "note": "a note"} for one in (called, snoozed)]
        book.write_contacts(notes)
    assert get(browser, TODAY, q=called, only="called").rows[1][7].startswith("called")
    assert get(browser, TODAY, q=snoozed, only="snoozed").rows[1][7].startswith(f"snoozed until {wording.day(until)}")


@pytest.mark.parametrize(
    ("form", "fault"),
    [
        ({"kind": "called"}, "Say what came of the call."),
        ({"kind": "called", "outcome": "x" * 101}, "Keep the outcome within 100"),
        ({"kind": "noted", "note": " "}, "Write the note."),
        ({"kind": "snoozed", "until": "2020-01-01", "note": "why"}, "Give a day from tomorrow on"),
        ({"kind": "snoozed", "until": "9999-12-31", "note": "why"}, "Give a day from tomorrow on"),
        ({"kind": "snoozed", "until": "soon", "note": "why"}, "Give a day from tomorrow on"),
        ({"kind": "erased"}, "Say what was done"),
        ({}, "Say what was done"),
    ],
)
def test_what_cannot_be_kept_comes_back_with_what_is_wrong_and_what_was_written(browser, site, form, fault):
    client = on_the_list(site)[7]["client"]
    answer = send(browser, f"{CLIENTS}/{client}/contacts", **form)
    page = Page(answer.text)
    assert answer.status_code == 422
    assert fault in page.text
    assert all(value in unescape(answer.text) for value in form.values() if value not in ("erased", " "))
    with book_of(site) as book:
        assert book.contacts(client) == []


def test_marking_leads_nowhere_else_and_nobody_unknown_is_marked(browser, site):
    client = on_the_list(site)[8]["client"]
    for back in ("https://elsewhere.example/", "//elsewhere.example", "/\\elsewhere.example", "javascript:alert(1)"):
        answer = send(browser, f"{CLIENTS}/{client}/contacts", kind="noted", note="here", back=back)
        assert answer.status_code == 303
        assert answer.location.startswith("/")
        assert "elsewhere" not in answer.location
    assert send(browser, f"{CLIENTS}/nobody/contacts", kind="noted", note="here").status_code == 404


# ---- clients ---------------------------------------------------------------------------------------------------------


def test_all_clients_stand_by_risk_and_are_searched_filtered_and_paged(browser, site):
    with book_of(site) as book:
        everyone = book.clients(limit=1000).rows
    page = get(browser, CLIENTS)
    assert page.column(1) == [row["client"] for row in everyone[:50]]
    assert f"1 to 50 of {len(everyone)} clients" in page.text
    assert get(browser, CLIENTS, page=2).column(1) == [row["client"] for row in everyone[50:100]]
    name = everyone[77]["client"]
    assert name in get(browser, CLIENTS, q=name[1:3]).column(1)
    threshold = health.threshold_of(site.products["corporate"])
    found = []
    for band in wording.BANDS:
        found.append(walk(browser, CLIENTS, band=band))
        wanted = [row["client"] for row in everyone if wording.risk_of(row["risk"], threshold)["band"] == band]
        assert found[-1] == wanted
    assert sum(map(len, found)) == len(everyone)
    assert "No client is like that" in get(browser, CLIENTS, q="nobody of this name").text


def walk(browser, path, **query):
    """The clients of all pages of a list, as its links lead from one to the next."""
    page = get(browser, path, **query)
    found = page.column(1)
    while following := page.of("a", rel="next"):
        page = get(browser, following[0]["href"])
        found += page.column(1)
    return found


def test_where_nobody_counts_what_a_search_finds_every_page_of_it_is_reached(browser, site, monkeypatch):
    monkeypatch.setattr(history_pages, "COUNTED", 60)
    path = "/products/viewers/clients"
    with book_of(site, "viewers") as book:
        everyone = [row["client"] for row in book.clients(limit=1000).rows if "v0" in row["client"]]
    assert len(everyone) > 200
    assert "1 to 50 of more than 60 clients" in get(browser, path, q="v0").text
    assert walk(browser, path, q="v0") == everyone
    last = get(browser, path, q="v0", page=99)
    assert f"to {len(everyone)} of {len(everyone)} clients" in last.text
    assert last.column(1)[-1] == everyone[-1]


def test_names_are_shown_as_text_and_each_leads_to_its_page(browser):
    answer = browser.get("/products/viewers/clients", query_string={"band": ""})
    pages = [browser.get("/products/viewers/clients", query_string={"page": i}).text for i in range(1, 7)]
    text = "".join(pages)
    for name in ("<script>alert(1)", "<img src=x", "<b>free</b>"):
        assert name not in text
    links = {
        unescape(words): unescape(href)
        for href, words in re.findall(r'<th scope="row"><a href="([^"]+)">(.+?)</a>', text)
    }
    for name in pages_site.ODD:
        shown = wording.client_name(name)
        if name == "..":
            assert shown not in links
            continue
        found = browser.get(links[shown])
        assert found.status_code == 200, name
        heading = unescape(re.search("<h1>(.*?)</h1>", found.text, re.DOTALL)[1])
        assert heading == shown
        assert "<script>alert" not in found.text
        assert "<b>free" not in found.text
    assert answer.status_code == 200


def test_a_client_shows_its_risk_over_time_what_changed_its_labels_and_every_column(browser, site):
    row = on_the_list(site)[10]
    client = row["client"]
    page = get(browser, f"{CLIENTS}/{client}")
    threshold = health.threshold_of(site.products["corporate"])
    shown = wording.risk_of(row["risk"], threshold)
    assert f"{shown['percent']} {shown['band']}" in page.text
    chart_of = page.of("svg", role="img")[0]["aria-label"]
    assert chart_of.startswith("The risk over time: ")
    assert chart_of.endswith(shown["percent"])
    assert "Another model scored it: 0002-" in page.text
    then = fabricate.world(500, 1, 11, fabricate.Drift(), 0).set_index("corporation").loc[client]
    now = fabricate.world(500, 2, 11, fabricate.Drift(), 0).set_index("corporation").loc[client]
    changed = {cells[0]: cells[1:3] for cells in page.rows if len(cells) == 4 and cells[3][:1] in ("×", "÷")}
    names = ("lastmonth_activity", "lastyear_activity", "number_of_employees")
    assert changed == {
        name.replace("_", " "): [f"{then[name]:,}", f"{now[name]:,}"] for name in names if then[name] != now[name]
    }
    assert changed
    assert re.search(r"Outcome (left|stayed), by drop [1-3] on ", page.text)
    columns = next(page.rows[i:] for i, cells in enumerate(page.rows) if cells[-1:] == ["Try"])
    assert {cells[0] for cells in columns[1:4]} == {"lastmonth activity", "lastyear activity", "number of employees"}
    assert all(re.search(r"[×÷] [\d.]+|no change", cells[3]) for cells in columns[1:4])
    assert "It is not what would happen" in page.text


# ---- what if ---------------------------------------------------------------------------------------------------------


def case_of(site, product, client):
    from churn import clients

    folder = releases.current(site.products[product])
    return releases.load(folder), clients.row_of(site.products[product], client)


def fields(page):
    """The fields of the form as a browser would send them."""
    return {
        field["name"]: field.get("value", "")
        for field in page.of("input")
        if field.get("name", "").startswith("value-")
    }


def test_what_if_shows_before_and_after_and_marks_what_changed(browser, site):
    client = on_the_list(site)[0]["client"]
    path = f"{CLIENTS}/{client}/what-if"
    form = fields(get(browser, f"{CLIENTS}/{client}"))
    release, row = case_of(site, "corporate", client)
    place = release.columns.features.index("lastmonth_activity")
    answer = send(browser, path, **(form | {f"value-{place}": "400"}))
    page = Page(answer.text)
    other = whatif.changed_row(row, {"lastmonth_activity": 400.0})
    before, after = (whatif.judge(release, one)["risk"] for one in (row, other))
    assert after < before / 2
    now, then = (wording.risk_of(risk, release.threshold) for risk in (before, after))
    assert f"Now {now['percent']} {now['band']}" in page.text
    assert f"What if {then['percent']} {then['band']}" in page.text
    said = f"With 1 value changed, the model says {then['percent']}, {then['band']} risk, in place of {now['percent']}"
    assert said in page.text
    assert len(page.of("tr", **{"class": "changed"})) == 1
    assert page.of("input", name=f"value-{place}")[0]["value"] == "400"
    assert page.of("p", role="status", id="what-if-said")


def test_a_category_is_one_click_and_missing_is_one_of_them(browser, site):
    path = "/products/viewers/clients/v0100"
    page = get(browser, path)
    release, row = case_of(site, "viewers", "v0100")
    place = release.columns.features.index("plan")
    buttons = {button["value"] for button in page.of("button", name=f"pick-{place}")}
    assert buttons == set(pages_site.viewers()["plan"])
    assert "1 more" in page.text or "2 more" in page.text
    device = release.columns.features.index("device")
    assert {button["value"] for button in page.of("button", name=f"pick-{device}")} == {"tv", "phone", ""}
    level = next(one for one in sorted(buttons) if one != row["plan"].iloc[0])
    answer = send(browser, f"{path}/what-if", **(fields(page) | {f"pick-{place}": level}))
    found = Page(answer.text)
    after = whatif.judge(release, whatif.changed_row(row, {"plan": level}))["risk"]
    assert f"What if {wording.percent(after)}" in found.text
    pressed = found.of("button", name=f"pick-{place}", aria_pressed="true")
    assert [button["value"] for button in pressed] == [level]
    assert "<b>free</b>" not in answer.text


@pytest.mark.parametrize("value", ["many", "1.5", "inf", "1e999", "<b>"])
def test_what_is_no_number_is_said_beside_its_field_and_nothing_is_asked_of_the_model(browser, site, value):
    client = on_the_list(site)[0]["client"]
    answer = send(browser, f"{CLIENTS}/{client}/what-if", **{"value-0": value})
    page = Page(answer.text)
    assert answer.status_code == 200
    assert page.of("input", aria_invalid="true")[0]["value"] == value
    assert re.search("is not a (finite |whole )?number", page.text)
    assert "cannot be used; it is marked below" in page.text


def test_nothing_tried_is_nothing_changed_and_an_empty_number_is_missing(browser, site):
    client = on_the_list(site)[0]["client"]
    same = Page(send(browser, f"{CLIENTS}/{client}/what-if", **fields(get(browser, f"{CLIENTS}/{client}"))).text)
    assert "Nothing is changed" in same.text
    assert not same.of("tr", **{"class": "changed"})
    blank = Page(send(browser, f"{CLIENTS}/{client}/what-if", **{"value-0": ""}).text)
    assert "With 1 value changed" in blank.text
    assert "missing" in blank.text
    far = Page(send(browser, f"{CLIENTS}/{client}/what-if", **{"value-0": "9999999"}).text)
    assert "outside of what the model knows" in far.text


def test_the_what_if_form_has_the_values_that_give_the_risk_of_now(browser, site):
    for name in ("v0020", "v0030", *pages_site.ODD[:2]):
        release, row = case_of(site, "viewers", name)
        view = whatif.examine(release, site.products["viewers"], row, None)
        form = {field["field"]: field["text"] for field in view["fields"]}
        values = {column: whatif._plain(row[column].iloc[0]) for column in release.columns.features}
        assert whatif.read(release.columns, values, form) == (values, {})


# ---- the model, releases, data ---------------------------------------------------------------------------------------


def test_the_model_page_shows_the_report_and_its_pictures(browser):
    page = get(browser, "/products/corporate/model")
    for words in ("How good the model is", "Over the drops", "What the model looks at", "Calibration"):
        assert words in page.text
    anchors = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    links = [link["href"][1:] for link in page.of("a") if link.get("href", "").startswith("#part-")]
    assert links
    assert set(links) <= anchors
    pictures = page.of("img")
    assert len(pictures) >= 4
    for picture in pictures:
        answer = browser.get(picture["src"], buffered=True)
        assert (answer.status_code, answer.mimetype) == (200, "image/svg+xml")
        assert picture["alt"]
    for name in ("secret.svg", "..%2freport.json", "calibration.png", "%2e%2e/x.svg"):
        assert browser.get(f"/products/corporate/pictures/{name}").status_code == 404


def test_the_releases_page_says_what_was_there_when_and_why(browser, site):
    page = get(browser, "/products/corporate/releases")
    first, second = releases.versions(site.products["corporate"])
    assert [cells[0] for cells in page.rows[1:3]] == [second, first]
    assert page.rows[1][2] == "now"
    assert "The test's tick." in page.rows[1][-1]
    assert f"Roll back to {first}" in page.text


def test_rolling_back_asks_first_needs_a_reason_and_happens_once(browser, site):
    product = site.products["corporate"]
    first, second = releases.versions(product)
    path = "/products/corporate/rollback"
    page = get(browser, path)
    assert f"{second} leaves production, and {first} comes back" in page.text
    token = page.of("input", name="instead_of")[0]["value"]
    try:
        assert send(browser, path, instead_of=token, why=" ").status_code == 422
        assert releases.current_version(product) == second
        answer = send(browser, path, instead_of=token, why="it was better")
        assert (answer.status_code, answer.location) == (303, "/products/corporate/releases?done=rolled-back")
        assert releases.current_version(product) == first
        again = send(browser, path, instead_of=token, why="sent twice")
        assert again.status_code == 409
        assert releases.current_version(product) == first
        shown = get(browser, "/products/corporate/releases", done="rolled-back")
        assert "Rolled back" in shown.text
        assert "By hand: it was better." in shown.text
    finally:
        send(browser, path, instead_of=first, why="forth again")
    assert releases.current_version(product) == second
    assert get(browser, "/products/viewers/rollback", status=409).of("h1")


def test_of_rollbacks_asked_for_at_once_one_is_done(browser, site):
    product = site.products["corporate"]
    first = releases.current_version(product)
    with ThreadPoolExecutor(4) as people:
        path, asked = "/products/corporate/rollback", {"instead_of": first, "why": "at once"}
        done = [people.submit(send, browser.application.test_client(), path, **asked) for _ in range(4)]
    try:
        assert sorted(one.result().status_code for one in done) == [303, 409, 409, 409]
        assert releases.current_version(product) != first
    finally:
        send(browser, path, instead_of=releases.current_version(product), why="forth again")
    assert releases.current_version(product) == first


def test_while_a_run_is_at_work_a_rollback_says_so(browser, site):
    product = site.products["corporate"]
    version = releases.current_version(product)
    with storage.locked(product.logs / "lock", "a run"):
        answer = send(browser, "/products/corporate/rollback", instead_of=version, why="now")
    assert answer.status_code == 409
    assert "A run is at work" in Page(answer.text).text
    assert releases.current_version(product) == version


def test_the_data_page_counts_every_row_and_gives_the_rejected_ones(browser):
    page = get(browser, "/products/corporate/data")
    assert "wrong.csv" in page.text
    assert "no header of this product" in page.text
    row = next(cells for cells in page.rows if "few-rejected.csv" in cells)
    assert row[3:7] == ["41", "40", "0", "1"]
    link = next(one["href"] for one in page.of("a") if "/rejects/" in one.get("href", ""))
    answer = browser.get(link)
    assert answer.headers["Content-Disposition"] == "attachment; filename=rejected-few-rejected.csv"
    assert list(csv.reader(io.StringIO(answer.data.decode("utf-8-sig"))))[1][:2] == ["42", "lastmonth_activity"]
    assert "No cell is empty." in page.text
    for name in ("other.csv", "..%2f..%2fconfig.json", "%2e%2e"):
        assert browser.get(f"/products/corporate/rejects/{name}").status_code == 404


def test_of_a_long_past_only_what_is_shown_is_read(browser, site, monkeypatch):
    version = releases.current_version(site.products["corporate"])
    past = [{"version": version, "from": "2026-01-01T00:00:00Z", "why": f"time {i}"} for i in range(400)]
    reads = []
    read_manifest = releases.read_manifest
    monkeypatch.setattr(releases, "history", lambda product: past)
    monkeypatch.setattr(releases, "read_manifest", lambda folder: reads.append(folder) or read_manifest(folder))
    page = get(browser, "/products/corporate/releases")
    assert "Time 399." in page.text
    assert "Time 349." not in page.text
    assert len(reads) < 60
    record = dataset.load_record(site.products["corporate"])
    aside = tuple(replace(record.quarantined[0], name=f"wrong-{i}.csv") for i in range(90))
    monkeypatch.setattr(dataset, "load_record", lambda product: replace(record, drops=record.drops + aside))
    page = get(browser, "/products/corporate/data")
    assert "wrong-89.csv" in page.text
    assert "wrong-39.csv" not in page.text
    assert "Shown are the last 50 of 91." in page.text


def test_of_missing_data_the_columns_that_have_some_are_named(browser, site):
    path = site.products["viewers"].reports / "diagnostics.json"
    shares = {"viewer": 0.0, "hours": 0.0, "plan": 0.04, "device": 33.3, "left": 0.0}
    path.write_text(json.dumps({"made_at": "2026-01-01T00:00:00Z", "rows": 260, "missing_percent": shares}))
    text = get(browser, "/products/viewers/data").text
    assert "device 33.3% plan <0.1% The other 3 columns have no empty cell." in text
    path.unlink()


# ---- the frame -------------------------------------------------------------------------------------------------------


def test_light_or_dark_is_remembered(browser):
    assert not get(browser, TODAY).of("html")[0].get("data-theme")
    answer = send(browser, "/theme", theme="dark", back=f"{TODAY}?q=a")
    assert (answer.status_code, answer.location) == (303, f"{TODAY}?q=a")
    page = get(browser, TODAY)
    assert page.of("html")[0]["data-theme"] == "dark"
    assert page.of("button", value="dark")[0]["aria-pressed"] == "true"
    send(browser, "/theme", theme="auto", back="https://elsewhere.example")
    assert not get(browser, TODAY).of("html")[0].get("data-theme")


def test_only_who_signed_in_can_sign_out(site, tmp_path):
    file = tmp_path / "tokens.txt"
    token = tokens.make(file, "anna", tokens.READ, stage.utc_now())
    visitor = app.create_app(site.config_path, Tokens(file)).test_client()
    asked = {"headers": {"Authorization": f"Bearer {token}"}}
    assert "Sign out" not in visitor.get("/login").text
    assert "Sign out" not in visitor.get(TODAY, **asked).text
    assert visitor.post("/login", data={"token": token}, headers=SAME_ORIGIN).status_code == 303
    page = Page(visitor.get(TODAY).text)
    assert "Signed in as anna. The API Sign out" in page.text
    assert page.of("a", href="/docs")
    assert "Sign out" not in visitor.get(TODAY, **asked).text  # it is the header that answers for it


def test_who_may_only_read_gets_no_forms_that_write(site):
    store = Tokens()
    made = app.create_app(site.config_path, store)
    made.before_request_funcs.setdefault(None, []).append(lambda: setattr(_g(), "may", ("read",)))
    page = Page(made.test_client().get(TODAY).text)
    assert len(page.column(1)) == 50
    assert not page.of("form", **{"class": "mark-form"})
    releases_page = Page(made.test_client().get("/products/corporate/releases").text)
    assert "Roll back" not in releases_page.text


def _g():
    from flask import g

    return g


# ---- words -----------------------------------------------------------------------------------------------------------


def test_trends_and_times_are_said_in_words():
    assert wording.trend(0.4, None)["words"] == "newly scored"
    assert wording.trend(0.4, 0.352)["words"] == "up 5 points"
    assert wording.trend(0.401, 0.404)["words"] == "as last time"
    assert wording.trend(0.002, 0.009)["words"] == "down 0.7 points"
    assert wording.trend(0.31, 0.32)["words"] == "down 1 point"
    assert wording.moment("2026-03-01T06:05:00Z") == "1 Mar 2026, 06:05"
    assert wording.sentence("no such thing") == "No such thing."
    assert wording.sentence("clients.csv is gone") == "clients.csv is gone."


def test_bands_cover_every_risk_once():
    for threshold in (0.0, 0.2, 0.5, 1.0):
        for risk in (0.0, 0.1, threshold / 2, threshold, (threshold + 1) / 2, 1.0):
            holding = [
                name for name in wording.BANDS for low, high in [wording.bounds(name, threshold)] if low <= risk <= high
            ]
            assert holding == [wording.risk_of(risk, threshold)["band"]], (risk, threshold)


def test_a_name_of_a_column_breaks_where_its_words_meet_and_stays_text(browser):
    template = browser.application.jinja_env.from_string(
        '{% autoescape true %}{{ name | humps | join("<wbr>" | safe) }}{% endautoescape %}'
    )
    said = {name: template.render(name=name) for name in ("InternetService", "<b>aB", "tenure")}
    assert list(said.values()) == ["Internet<wbr>Service", "&lt;b&gt;a<wbr>B", "tenure"]


def test_within_a_day_a_chart_says_the_hours():
    rows = [{"at": f"2026-01-01T0{i}:00:00Z", "risk": i / 10, "version": "1"} for i in range(1, 4)]
    made = chart.risks(rows, 0.5)
    assert (made["first"], made["last"]) == ("1 Jan 2026, 01:00", "1 Jan 2026, 03:00")
    assert made["points"][1]["said"] == "1 Jan 2026, 02:00: 20%"


def test_a_chart_holds_all_its_points():
    rows = [{"at": f"2026-01-{i:02}T00:00:00Z", "risk": i / 10, "version": "1"} for i in range(1, 10)]
    made = chart.risks(rows, 0.5)
    assert all(made["left"] <= point["x"] <= made["right"] for point in made["points"])
    assert all(0 <= point["y"] <= made["bottom"] for point in made["points"])
    assert made["ticks"][-1]["said"] == "100%"


def test_addresses_ask_for_what_they_were_made_for():
    asked = asking.read(
        {"q": "a&b=ü", "sort": "risk", "page": "3"}, "/x", sorts={"rank": False, "risk": True}, only=(), bands=()
    )
    assert (asked.sort, asked.down, asked.page, asked.offset) == ("risk", True, 3, 100)
    assert asked.to() == "/x?q=a%26b%3D%C3%BC&sort=risk.down"
    assert asked.to(sort="rank", down=False, search="") == "/x"
