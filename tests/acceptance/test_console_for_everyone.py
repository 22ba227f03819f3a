"""Every page of the console for everyone: axe-core, light and dark, desktop and phone, no mouse.

axe-core comes from npm. Its rules for WCAG 2.2 AA and its best practices run on every page, with
all that a page folds away unfolded; no serious or critical fault may be left.
"""

import json
from collections.abc import Iterator

import pytest

from models.users import Role
from tests.load.console_data import LONG, TICKET_IDS
from tests.load.environment import OPERATOR
from tests.support.browser import DESKTOP, PHONE, ConsoleBrowser, Tab, open_browser
from tests.support.npm_packages import install_packages
from tests.support.populated_console import PopulatedConsole, populated_console
from tests.support.server_folders import passable_folder

AXE = "axe-core@4.14.1"
SERIOUS = ("serious", "critical")
PAGES = (
    "/",
    "/?q=player-1",
    f"/tickets/{OPERATOR}/{LONG}",
    f"/tickets/{OPERATOR}/{TICKET_IDS['dead']}",
    "/nowhere",
)
UNFOLD = "document.querySelectorAll('details').forEach((fold) => { fold.open = true; })"
# What changes with the colours of a page, and what changes with its width.
COLOURS = ("color-contrast", "link-in-text-block")
WIDTH = ("target-size", "scrollable-region-focusable", "color-contrast", "link-in-text-block")
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
    const inside = (element) => element.closest(".table-box, pre, .plot, [data-scrolls]") !== null;
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
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = install_packages(tmp_path_factory.mktemp("axe"), AXE)
    return (folder / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("size", "scheme", "rules"),
    [
        (DESKTOP, "light", ()),
        (DESKTOP, "dark", COLOURS),
        (PHONE, "light", WIDTH),
        (PHONE, "dark", COLOURS),
    ],
    ids=["desktop light", "desktop dark", "phone light", "phone dark"],
)
def test_axe_finds_no_serious_fault(browser, populated, signed_in, axe, size, scheme, rules):
    faults: dict[str, list[object]] = {}
    with browser.tab(populated.console.url, size=size, scheme=scheme, cookies_of=signed_in) as tab:
        tab.refused = {404}
        for path in PAGES:
            tab.open(path)
            tab.page.evaluate(UNFOLD)
            tab.page.evaluate(axe)
            violations = tab.page.evaluate(RUN, list(rules))
            if serious := [fault for fault in violations if fault["impact"] in SERIOUS]:
                faults[path] = serious
            if size == PHONE and (wide := tab.page.evaluate(TOO_WIDE)):
                faults[f"{path}, too wide"] = wide

    assert faults == {}, json.dumps(faults, indent=1)
