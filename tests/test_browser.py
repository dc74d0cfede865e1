"""The pages in a real browser, served as `make serve` serves them; skipped where there is no Chromium."""

import contextlib
import shutil
from datetime import date, timedelta
from types import SimpleNamespace

import pytest

from churn import releases, stage
from churn.history.store import connect
from tests import pages_site
from tests.serving_site import running

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; .ci/run installs Debian's")
FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
TODAY = "/products/corporate/"
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 780}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return pages_site.make(tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="module")
def url(site):
    with running(site.products["corporate"], WEB_CONCURRENCY="1") as server:
        yield server.url


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, "--no-first-run"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, url):
    """Open pages in a browser of one's own; whatever it complained of, or asked elsewhere, fails the test."""
    seen = SimpleNamespace(complaints=[], elsewhere=[])

    @contextlib.contextmanager
    def opened(path=TODAY, **options):
        context = chromium.new_context(**{"viewport": DESK, "base_url": url, "reduced_motion": "reduce"} | options)
        context.set_default_timeout(10_000)
        page = context.new_page()
        page.on(
            "console", lambda said: seen.complaints.append(said.text) if said.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        page.on("request", lambda asked: None if asked.url.startswith(f"{url}/") else seen.elsewhere.append(asked.url))
        page.goto(path)
        try:
            yield page
        finally:
            context.close()

    yield opened
    assert seen.complaints == []
    assert seen.elsewhere == []


def clients(page):
    """The clients of the list that is shown, in order."""
    page.wait_for_load_state()
    return page.locator("tbody th").all_inner_texts()


def percents(page):
    return [int(text.strip("<>%").split(".")[0]) for text in page.locator("tbody .risk b").all_inner_texts()]


def contacts_of(site, client):
    with connect(site.products["corporate"]) as book:
        return book.contacts(client)


def test_from_the_overview_to_a_client_and_a_what_if_that_changes_its_risk(visit):
    with visit("/") as page:
        page.get_by_role("link", name="corporate", exact=True).click()
        page.get_by_role("link", name="Risk", exact=True).click()
        page.wait_for_url("**sort=risk.down*")
        assert percents(page) == sorted(percents(page), reverse=True)
        assert page.locator("th[aria-sort=descending]").inner_text().startswith("Risk")
        page.get_by_label("Risk", exact=True).select_option("very high")
        page.wait_for_url("**band=very+high*")
        assert set(page.locator("tbody .band").all_inner_texts()) == {"very high"}
        assert percents(page) == sorted(percents(page), reverse=True)
        name = clients(page)[0]
        page.get_by_label("Client", exact=True).fill(name)
        page.keyboard.press("Enter")
        page.wait_for_url("**q=*")
        page.get_by_role("link", name=name, exact=True).click()
        assert page.get_by_role("heading", level=1).inner_text() == name
        before = page.locator(".versus .card").first.inner_text()
        page.get_by_label("lastmonth activity").fill("500")
        page.keyboard.press("Enter")
        after = page.locator(".versus .after")
        after.wait_for()
        assert float(after.locator("b").inner_text().strip("<%")) < float(before.split()[1].strip("%"))
        assert "down" in after.inner_text()
        assert "the model says" in page.get_by_role("status").inner_text()
        assert page.locator("tr.changed").count() == 1
        assert page.url.endswith(f"/clients/{name}")  # nothing of what was tried stands in an address
        page.get_by_role("button", name="Back to the real values").click()
        page.locator(".versus .after").wait_for(state="detached")


def test_another_category_is_one_click(visit):
    with visit("/products/viewers/clients/v0100") as page:
        group = page.get_by_role("group", name="plan")
        before = group.locator("[aria-pressed=true]").inner_text()
        other = group.locator("[aria-pressed=false]").first
        level = other.inner_text()
        other.click()
        page.locator("tr.changed").wait_for()
        assert group.locator("[aria-pressed=true]").inner_text() == level != before
        assert page.evaluate("document.activeElement.textContent") == level


def test_who_tries_on_before_the_answer_is_there_gets_one_to_all_that_was_tried(visit):
    with visit("/products/viewers/clients/v0102") as page:
        held = []
        page.route("**/what-if", lambda route: route.continue_() if held else held.append(route))
        for name in ("plan", "device"):
            with page.expect_request("**/what-if"):  # else the first may be given up before it was sent
                page.get_by_role("group", name=name).locator("[aria-pressed=false]").first.click()
        page.locator("tr.changed").nth(1).wait_for()
        with contextlib.suppress(Exception):  # nobody waits for it any more
            held[0].continue_()
        page.wait_for_function("document.readyState === 'complete'")
        assert page.locator("tr.changed").count() == 2
        assert "With 2 values changed" in page.get_by_role("status").inner_text()


def test_what_is_tried_far_down_shows_its_risk_beside_it(visit):
    with visit("/products/viewers/clients/v0103", viewport={"width": 1280, "height": 420}) as page:
        last = page.locator("table.try tbody tr").last
        last.scroll_into_view_if_needed()
        box = page.locator(".versus").bounding_box()
        assert 0 <= box["y"] < 20
        assert box["y"] + box["height"] < last.bounding_box()["y"] + last.bounding_box()["height"]


def test_what_a_spreadsheet_gets_is_named_by_the_day(visit):
    with visit() as page:
        with page.expect_download() as started:
            page.get_by_role("link", name="Download CSV").click()
        day = page.locator(".page-head time").first.get_attribute("datetime")
        assert started.value.suggested_filename == f"calllist-corporate-{day}.csv"
        assert started.value.path().read_bytes().startswith(b"\xef\xbb\xbfrank,corporation,risk")


def test_a_call_and_a_snooze_are_kept_where_the_list_stands(visit, site):
    with visit() as page:
        called, snoozed = clients(page)[:2]
        page.get_by_role("row", name=called).get_by_text("Mark").click()
        page.get_by_label("What came of it").locator("visible=true").fill("will stay")
        page.get_by_role("button", name="Keep it").locator("visible=true").click()
        page.get_by_text("The call is kept.").wait_for()
        assert "called" in page.get_by_role("row", name=called).inner_text()
        page.get_by_role("row", name=snoozed).get_by_text("Mark").click()
        form = page.get_by_role("row", name=snoozed).locator("form")
        form.get_by_text("Snooze", exact=True).click()
        assert not form.get_by_label("What came of it").is_visible()
        until = (date.fromisoformat(stage.utc_now()[:10]) + timedelta(days=300)).isoformat()
        form.get_by_label("Off the list until").fill(until)
        form.get_by_label("Note, or why").fill("on leave")
        form.get_by_role("button", name="Keep it").click()
        page.get_by_text("Snoozed: the client is off the list").wait_for()
        assert snoozed not in clients(page)
    assert [contact["outcome"] for contact in contacts_of(site, called)] == ["will stay"]
    assert [contact["until"] for contact in contacts_of(site, snoozed)] == [until]


def test_a_rollback_asks_first_and_then_another_version_answers(visit, site):
    first, second = releases.versions(site.products["corporate"])
    with visit("/products/corporate/releases") as page:
        page.get_by_role("link", name="Roll back to").click()
        page.get_by_label("Why").fill("the test wants it")
        page.get_by_role("button", name="Roll back to").click()
        page.wait_for_url("**/releases?done=rolled-back")
        assert page.locator("tbody tr").first.locator("th").inner_text() == first
        page.goto(f"/products/corporate/clients/{on_the_list(site)}")
        assert f"Answered by version {first}" in page.locator("footer").inner_text()
        page.goto("/products/corporate/rollback")
        page.get_by_label("Why").fill("forth again")
        page.get_by_role("button", name="Roll back to").click()
        page.wait_for_url("**/releases?done=rolled-back")
    assert releases.current_version(site.products["corporate"]) == second


def on_the_list(site):
    with connect(site.products["corporate"]) as book:
        return book.last_list(limit=1).rows[0]["client"]


def test_light_and_dark_follow_the_system_and_what_was_chosen_is_remembered(visit):
    ground = "getComputedStyle(document.body).backgroundColor"
    grounds = {}
    for scheme in ("light", "dark"):
        with visit(color_scheme=scheme) as page:
            grounds[scheme] = page.evaluate(ground)
    assert grounds["light"] != grounds["dark"]
    with visit(color_scheme="light") as page:
        with page.expect_response("**/theme"):
            page.get_by_role("button", name="Dark", exact=True).click()
        assert page.evaluate(ground) == grounds["dark"]
        page.goto("/products/corporate/data")
        assert page.evaluate(ground) == grounds["dark"]
        with page.expect_response("**/theme"):
            page.get_by_role("button", name="As the system has it").click()
        page.reload()
        assert page.evaluate(ground) == grounds["light"]


def test_the_shades_are_switched_on_and_off_in_place(visit):
    colours = "[...document.querySelectorAll('.reasons li')].map(li => getComputedStyle(li).backgroundColor)"
    with visit() as page:
        assert len(set(page.evaluate(colours))) == 1
        page.get_by_label("Shade reasons").check()
        page.wait_for_url("**shade=1*")
        assert len(set(page.evaluate(colours))) > 4
        assert page.get_by_text("What a reason does to the odds of leaving").is_visible()


def pages_of(site):
    client = on_the_list(site)
    few = "/products/corporate/clients?q=aa"  # what is checked of many rows is checked of some
    return [
        *("/", f"{TODAY}?shade=1&page=2", few, f"/products/corporate/clients/{client}"),
        *("/products/corporate/model", "/products/corporate/releases", "/products/corporate/rollback"),
        *("/products/corporate/data", "/products/fresh/", "/products/nameless/", "/products/viewers/clients/v0100"),
        *("/products/viewers/?q=v00", "/login"),
    ]


def test_nothing_is_wider_than_a_phone(visit, site):
    with visit("/login", viewport=PHONE) as page:
        for path in pages_of(site):
            page.goto(path)
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= PHONE["width"], (path, width)
        page.goto(TODAY)
        assert page.get_by_label("Sort", exact=True).is_visible()
        page.locator("summary", has_text="Mark").first.click()
        panel = page.locator("form.mark-form:visible").bounding_box()
        assert panel["x"] >= 0
        assert panel["x"] + panel["width"] <= PHONE["width"]


def grave(page, *rules):
    """The serious and critical faults that axe finds, by all its rules or by these."""
    from axe_playwright_python.sync_playwright import Axe

    options = {"resultTypes": ["violations"]} | ({"runOnly": list(rules)} if rules else {})
    if not page.evaluate("'axe' in window"):  # half a megabyte: once a page
        page.evaluate(Axe().axe_script)
    faults = page.evaluate("async options => (await axe.run(options)).violations", options)
    faults = [fault for fault in faults if fault["impact"] in ("serious", "critical")]
    return [(fault["id"], node["html"][:200]) for fault in faults for node in fault["nodes"]]


def test_axe_finds_no_serious_fault_on_any_page_light_or_dark(visit, site):
    found = {}

    def look(page, what):
        page.emulate_media(color_scheme="light")
        found[what, "light"] = grave(page)
        page.emulate_media(color_scheme="dark")  # which changes the colours alone
        found[what, "dark"] = grave(page, "color-contrast")

    with visit("/login") as page:
        for path in pages_of(site):
            page.goto(path)
            look(page, path)
        page.goto(f"{TODAY}?q={on_the_list(site)}")
        page.locator("summary", has_text="Mark").first.click()
        look(page, "the panel that marks")
        page.goto("/products/viewers/clients/v0100")
        page.locator(".choices button[aria-pressed=false]").first.click()
        page.locator("tr.changed").wait_for()
        look(page, "a what-if")
        page.evaluate("document.querySelector('h1').style.color = '#223'")
        assert [rule for rule, _ in grave(page)] == ["color-contrast"]  # what is wrong is found
    assert len(found) == 2 * len(pages_of(site)) + 4
    assert {what: faults for what, faults in found.items() if faults} == {}


def test_the_keyboard_reaches_everything_and_shows_where_it_is(visit):
    with visit() as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        assert page.locator(".skip").bounding_box()["y"] >= 0
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "content"
        page.keyboard.press("Tab")
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        assert page.evaluate(outline) == "solid"
        page.locator("summary", has_text="Mark").first.focus()
        page.keyboard.press("Enter")
        panel = page.locator("details.mark[open]")
        assert panel.count() == 1
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.value") == "called"
        page.keyboard.press("ArrowRight")
        assert page.evaluate("document.activeElement.value") == "noted"
        page.keyboard.press("Escape")
        assert panel.count() == 0
        assert page.evaluate("document.activeElement.tagName") == "SUMMARY"


def test_all_of_it_works_without_script(visit, site):
    with visit(java_script_enabled=False) as page:
        name = clients(page)[4]
        page.get_by_label("Client", exact=True).fill(name)
        page.get_by_role("button", name="Apply").click()
        assert clients(page) == [name]
        page.get_by_text("Mark").first.click()
        page.get_by_text("Note", exact=True).click()
        page.get_by_label("Note, or why").fill("without script")
        page.get_by_role("button", name="Keep it").click()
        assert page.get_by_text("The note is kept.").is_visible()
        page.get_by_role("button", name="Dark", exact=True).click()
        assert page.locator("html").get_attribute("data-theme") == "dark"
        page.goto("/products/viewers/clients/v0101")
        page.get_by_role("group", name="plan").locator("[aria-pressed=false]").first.click()
        assert page.locator("tr.changed").count() == 1
        page.get_by_label("hours").fill("nonsense")
        page.get_by_role("button", name="Ask the model").click()
        assert page.get_by_label("hours").get_attribute("aria-invalid") == "true"
    assert [contact["note"] for contact in contacts_of(site, name)] == ["without script"]


def test_names_that_look_like_markup_do_nothing(visit):
    with visit("/products/viewers/clients") as page:
        hits, found = [], {}
        page.on("dialog", lambda dialog: (hits.append(dialog.message), dialog.dismiss()))
        while True:
            links = "links => links.map(link => [link.innerText, link.getAttribute('href')])"
            found |= dict(page.locator("tbody th a").evaluate_all(links))
            assert page.locator("tbody img, tbody script").count() == 0
            following = page.get_by_role("link", name="Next")
            if not following.count():
                break
            following.click()
        odd = {name: href for name, href in found.items() if not name.startswith("v0")}
        assert len(odd) == len(pages_site.ODD) - 1  # no address leads to ..
        for name, href in odd.items():
            page.goto(href)
            assert page.get_by_role("heading", level=1).inner_text() == name
        assert hits == []
