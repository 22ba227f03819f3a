"""Every page of the console for everyone: axe-core, light and dark, desktop and phone, no mouse.

On a phone it looks in the light alone: what is dark there is a matter of the sheet's pairs of
colours, which tests/rules/test_console_contrast.py computes. Of rows that differ in
nothing but their words it looks at two: a third one would have no other fault.

axe-core comes from npm. Its rules for WCAG 2.2 AA and its best practices run on every page, with
all that a page folds away unfolded; no serious or critical fault may be left.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from fastapi.routing import APIRoute
from sqlalchemy import text

from models.users import Role
from tests.load.console_data import DOWN, LONG, TICKET_IDS
from tests.load.environment import OPERATOR, operator_code
from tests.support.browser import DESKTOP, PHONE, ConsoleBrowser, Tab, open_browser
from tests.support.npm_packages import install_packages
from tests.support.populated_console import PopulatedConsole, populated_console
from tests.support.server_folders import passable_folder
from worker.console.pages import ROUTES

AXE = "axe-core@4.14.1"
SERIOUS = ("serious", "critical")
# Every page that a person opens; `test_no_page_is_left_out` compares it with the routes.
PAGES = (
    "/",
    "/?q=player-1",
    "/?q=nothing-has-this-id",
    f"/tickets/{OPERATOR}/{LONG}",
    f"/tickets/{OPERATOR}/{TICKET_IDS['dead']}",
    f"/tickets/{OPERATOR}/{TICKET_IDS['dead']}/attempts/{{notice}}/1",
    "/notices",
    "/notices?outcome=waiting",
    "/notices?answer=nobody+answered+so",
    "/notices/resolve?act=retry&all=1",
    "/notices/resolve?act=skip&all=1",
    "/events?outcome=rejected",
    "/events?outcome=parked",
    "/events?outcome=superseded",
    "/events?outcome=rejected&reason=already_open",
    f"/events/one?operator={OPERATOR}&ticket={TICKET_IDS['rejected']}&event={{event}}",
    "/events/resolve?act=retry&outcome=rejected",
    "/events/resolve?act=drop&outcome=parked",
    "/partners",
    "/contract",
    f"/partners/{OPERATOR}",
    f"/partners/{operator_code(DOWN - 1)}",
    f"/partners/{OPERATOR}/terms",
    f"/partners/{OPERATOR}/access",
    f"/partners/{OPERATOR}/secret",
    f"/partners/{OPERATOR}/send-again",
    f"/partners/{OPERATOR}/end",
    "/jobs",
    "/jobs/1",
    "/erasures",
    f"/erasures/new?partner={OPERATOR}&player=player-1",
    "/erasures/1",
    "/system",
    "/history",
)
NOWHERE = "/nowhere"
NO_PAGES = re.compile(r"/live$|/checks$|\.csv$|^/contract/")
IDS = text("""
    SELECT (SELECT min(id) FROM notice WHERE ended = 'dead') AS notice, e.event_id AS event
      FROM ticket_event e JOIN ticket t ON t.id = e.ticket
     WHERE t.ticket_id = :ticket_id AND e.outcome = 'rejected'""")
UNFOLD = "document.querySelectorAll('details').forEach((fold) => { fold.open = true; })"
ALL_RULES: tuple[str, ...] = ()
# What changes with the colours of a page, and what changes with its width.
COLOURS = ("color-contrast", "link-in-text-block")
WIDTH = ("target-size", "scrollable-region-focusable", "color-contrast", "link-in-text-block")
Scheme = Literal["light", "dark"]
LOOKS: tuple[tuple[tuple[int, int], Scheme, tuple[str, ...]], ...] = (
    (PHONE, "light", WIDTH),
    (DESKTOP, "light", ALL_RULES),
    (DESKTOP, "dark", COLOURS),
)
# Leaves two rows of each form, which is all of a row but its words and what tells it from others.
FEWER_ROWS = """() => {
    const own = /^(id|for|name|value|title|href|action|datetime|data-(copy|label)|hx-.+|aria-l.+)$/;
    const form = (row) => {
        const copy = row.cloneNode(true);
        const texts = document.createTreeWalker(copy, NodeFilter.SHOW_TEXT);
        while (texts.nextNode()) texts.currentNode.data = texts.currentNode.data.trim() && "x";
        for (const element of [copy, ...copy.querySelectorAll("*")])
            for (const { name, value } of [...element.attributes])
                if (own.test(name)) element.setAttribute(name, value.trim() && "x");
        return copy.outerHTML;
    };
    for (const rows of document.querySelectorAll("tbody, ul, ol")) {
        const seen = new Map();
        for (const row of [...rows.children]) {
            const kind = form(row);
            seen.set(kind, (seen.get(kind) ?? 0) + 1);
            if (seen.get(kind) > 2) row.remove();
        }
    }
}"""
RUN = """async (rules) => {
    const options = { resultTypes: ["violations"], runOnly: rules.length
        ? { type: "rule", values: rules }
        : { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa",
                                  "best-practice"] } };
    const found = await axe.run(document, options);
    return found.violations.map(({ id, impact, help, nodes }) => ({ id, impact, help,
        nodes: nodes.slice(0, 5).map((node) => [node.html.slice(0, 200), node.failureSummary]) }));
}"""
TOO_WIDE = """() => {
    const width = document.documentElement.clientWidth;
    const scrolls = ".table-box, pre, .plot, .menu, .states-box";
    const inside = (element) => element.closest(scrolls) !== null;
    return document.documentElement.scrollWidth <= width ? [] : [...document.body
        .querySelectorAll("*")].filter((element) => !inside(element)
            && element.getBoundingClientRect().right > width + 1)
        .map((element) => element.outerHTML.slice(0, 160)).slice(0, 5)
        .concat([`the page is ${document.documentElement.scrollWidth} wide`]);
}"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def populated(servers) -> Iterator[PopulatedConsole]:
    with passable_folder() as folder, populated_console(servers, folder) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[ConsoleBrowser]:
    with open_browser() as running:
        yield running


@pytest.fixture(scope="module")
def signed_in(browser, populated) -> Iterator[Tab]:
    """One session of somebody who may do everything, for all tabs."""
    console = populated.console
    with browser.tab(console.url) as tab:
        tab.sign_in("operations", console.passwords[Role.OPERATIONS])
        yield tab


@pytest.fixture(scope="module")
def pages(populated) -> list[str]:
    """The pages' addresses, ids of this database included."""
    with populated.database.engine.begin() as connection:
        ids = connection.execute(IDS, {"ticket_id": TICKET_IDS["rejected"]}).one()
    return [page.format(notice=ids.notice, event=ids.event) for page in PAGES]


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = install_packages(tmp_path_factory.mktemp("axe"), AXE)
    return (folder / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")


def test_no_page_is_left_out():
    routes = [
        route
        for routes in ROUTES
        for route in routes.routes
        if isinstance(route, APIRoute)
        and "GET" in (route.methods or set())
        and not NO_PAGES.search(route.path)
    ]
    paths = [page.partition("?")[0] for page in PAGES]

    left = [
        route.path for route in routes if not any(route.path_regex.match(path) for path in paths)
    ]

    assert len(routes) > 10
    assert left == []


def test_axe_finds_no_serious_fault_on_a_phone_on_a_wide_screen_or_in_the_dark(
    browser, populated, signed_in, axe, pages
):
    """Every page is opened once, on a phone; then it becomes wide, and dark as in the evening."""
    faults: dict[str, list[Any]] = {}
    with browser.tab(populated.console.url, size=PHONE, cookies_of=signed_in) as tab:
        for path in (*pages, NOWHERE):
            show(tab, PHONE, "light")
            tab.refused = {404} if path == NOWHERE else set()
            tab.open(path)
            tab.page.evaluate(UNFOLD)
            if wide := tab.page.evaluate(TOO_WIDE):
                faults[f"{path}, too wide"] = wide
            tab.page.evaluate(axe)
            for size, scheme, rules in LOOKS:
                show(tab, size, scheme)
                if serious := serious_faults(tab, rules):
                    faults[f"{path}, {size}, {scheme}"] = serious

    assert faults == {}, json.dumps(faults, indent=1)


def show(tab: Tab, size: tuple[int, int], scheme: Scheme) -> None:
    """Give the tab this size, and these colours."""
    tab.page.set_viewport_size({"width": size[0], "height": size[1]})
    tab.page.emulate_media(color_scheme=scheme)


def serious_faults(tab: Tab, rules: tuple[str, ...]) -> list[dict[str, Any]]:
    """What axe-core, which is there, finds by *rules* in some rows of each form."""
    tab.page.evaluate(FEWER_ROWS)  # each time: a live page has shown all of them again
    violations = tab.page.evaluate(RUN, list(rules))
    return [fault for fault in violations if fault["impact"] in SERIOUS]


def test_axe_finds_what_is_wrong_in_the_last_row_alone(browser, populated, signed_in, axe):
    with browser.tab(populated.console.url, cookies_of=signed_in) as tab:
        tab.open("/?q=player-1")  # it is not a live page
        rows = tab.page.locator("tbody tr").count()
        tab.page.locator("tbody tr a").last.evaluate("(link) => { link.textContent = ''; }")
        tab.page.evaluate(axe)

        serious = serious_faults(tab, ALL_RULES)

        assert [fault["id"] for fault in serious] == ["link-name"]
        assert tab.page.locator("tbody tr").count() < rows


FOCUSED = """() => {
    const element = document.activeElement;
    const style = getComputedStyle(element);
    const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
    return { label: (element.innerText || element.getAttribute("aria-label") || element.name || "")
        .trim(), tag: element.tagName.toLowerCase(), name: element.getAttribute("name"),
        act: element.matches("details.act > summary"), visible: ring || style.boxShadow !== "none",
        html: element.outerHTML.slice(0, 160) };
}"""
STOPS_MAX = 120


def next_stop(tab: Tab) -> dict[str, Any]:
    """What has the focus after the next press of Tab."""
    tab.page.keyboard.press("Tab")
    return dict(tab.page.evaluate(FOCUSED))


def test_the_keyboard_alone_reaches_an_act_and_shows_where_it_is(browser, populated, signed_in):
    with browser.tab(populated.console.url, cookies_of=signed_in) as tab:
        tab.open(f"/tickets/{OPERATOR}/{TICKET_IDS['dead']}")
        keyboard = tab.page.keyboard

        keyboard.press("Tab")
        assert tab.page.evaluate(FOCUSED)["label"] == "Skip to the content"
        assert tab.page.locator("a.skip").bounding_box()["y"] >= 0  # it shows when it has the focus
        keyboard.press("Enter")
        assert tab.page.evaluate("document.activeElement.id") == "content"

        stops = [next_stop(tab)]
        while not stops[-1]["act"] and len(stops) < STOPS_MAX:
            stops.append(next_stop(tab))
        assert stops[-1]["act"], "no act within reach"
        assert [stop["html"] for stop in stops if not stop["visible"]] == []

        keyboard.press("Enter")
        for _ in range(STOPS_MAX):
            if next_stop(tab)["name"] == "reason":
                break
        keyboard.type("asked by the partner")
        assert tab.page.locator("details.act[open] [name=reason]").first.input_value() == (
            "asked by the partner"
        )


def test_without_javascript_everything_can_be_read_and_done(browser, populated, pages):
    console = populated.console
    for path in pages:
        assert len(console.operations.page(path).tree.css("h1")) == 1, path

    with browser.tab(console.url, scripts=False) as tab:
        tab.sign_in("operations", console.passwords[Role.OPERATIONS])
        tab.open(f"/tickets/{OPERATOR}/{LONG}")
        tab.confirm(tab.act("Hold", reason="asked by the player"))
        assert "on hold" in tab.page.locator(".message").first.inner_text()
        tab.confirm(tab.act("Release", reason="the player is content"))
        assert "on hold" not in tab.page.locator(".standing").inner_text()
