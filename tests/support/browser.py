"""A real browser, Debian's Chromium, and in it the console's pages as a person sees them.

with open_browser() as browser:           # skips the test where there is no Chromium
    with browser.tab(console.url) as tab:  # a person of its own: no cookies, no history
        tab.sign_in("viewer", password)
        tab.open("/notices")

Whatever the browser complains of fails the test at the end of the block: an error in the console,
a violation of the Content-Security-Policy, a request to anywhere else, a response that failed.
"""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Response, sync_playwright

CHROMIUM: Final = shutil.which("chromium")
ABSENT: Final = "Debian's chromium is not installed"
ARGUMENTS: Final = (
    "--no-sandbox",  # the tests may run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",  # the servers have their data there
    "--disable-background-networking",
    "--disable-component-update",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
)
DESKTOP: Final = (1280, 900)
PHONE: Final = (390, 844)
WAIT_MAX_MS: Final = 120_000  # only a test that fails waits so long; a busy machine needs it
# Chromium writes this about each response that is an error; the response itself is checked.
_FAILED_RESPONSE: Final = re.compile(r"^Failed to load resource: the server responded with a st")
_WATCH_POLICY: Final = """document.addEventListener("securitypolicyviolation", (violation) =>
    console.error("violates the policy: " + violation.violatedDirective + " " +
        violation.blockedURI + " " + violation.sample));"""


@dataclass
class Tab:
    """One page of a browser, and what it complained of."""

    page: Page
    url: str
    problems: list[str] = field(default_factory=list)
    refused: set[int] = field(default_factory=set)  # statuses that the test expects

    def __post_init__(self) -> None:
        """Listen to all that a person would not see."""
        self.page.on("console", lambda line: self._hear(line.type, line.text))
        self.page.on("pageerror", lambda error: self.problems.append(f"script: {error}"))
        self.page.on("request", lambda request: self._ask(request.url))
        self.page.on("response", self._answer)

    def _hear(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"} and not _FAILED_RESPONSE.match(text):
            self.problems.append(f"{kind}: {text}")

    def _ask(self, url: str) -> None:
        if not url.startswith((self.url, "data:")):
            self.problems.append(f"loaded from elsewhere: {url}")

    def _answer(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.refused:
            self.problems.append(f"{response.status}: {response.request.method} {response.url}")

    def open(self, path: str) -> None:
        """Go to a page of the console."""
        self.page.goto(self.url + path)

    @property
    def path(self) -> str:
        """Where it is: path and query."""
        place = urlsplit(self.page.url)
        return place.path + (f"?{place.query}" if place.query else "")

    def sign_in(self, name: str, password: str) -> None:
        """Sign in as a person does."""
        self.open("/sign-in")
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in", exact=True).click()
        self.page.locator(".account").wait_for()

    @property
    def content(self) -> Locator:
        """The content of the page."""
        return self.page.locator("main")

    def text(self) -> str:
        """What the content says, with single spaces."""
        return re.sub(r"\s+", " ", self.content.inner_text())

    def act(self, label: str, *, reason: str, within: Locator | None = None) -> Locator:
        """Open an act by its label and give the reason; its form, for further fields."""
        place = within or self.content
        summary = place.locator("details.act > summary", has_text=re.compile(rf"^\s*{label}\s*$"))
        summary.first.click()
        form = summary.first.locator("xpath=..").locator("form")
        form.get_by_label("Reason").fill(reason)
        return form

    def confirm(self, form: Locator) -> None:
        """Send an act's form, and wait for the page that follows."""
        with self.page.expect_navigation():
            form.locator("button[type=submit]").last.click()


@dataclass(frozen=True)
class ConsoleBrowser:
    """A running Chromium."""

    browser: Browser

    @contextmanager
    def tab(
        self,
        url: str,
        *,
        size: tuple[int, int] = DESKTOP,
        scripts: bool = True,
        cookies_of: Tab | None = None,
    ) -> Iterator[Tab]:
        """Open a tab for the console at *url*; *cookies_of*: with the session of another one."""
        context = self.browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            java_script_enabled=scripts,
            is_mobile=size == PHONE,
            has_touch=size == PHONE,
            reduced_motion="reduce",
            locale="en-GB",
            timezone_id="UTC",
        )
        try:
            yield from self._in(context, url, scripts=scripts, cookies_of=cookies_of)
        finally:
            context.close()

    def _in(
        self, context: BrowserContext, url: str, *, scripts: bool, cookies_of: Tab | None
    ) -> Iterator[Tab]:
        context.set_default_timeout(WAIT_MAX_MS)
        if scripts:
            context.add_init_script(_WATCH_POLICY)
        if cookies_of is not None:
            context.add_cookies(cookies_of.page.context.cookies())  # type: ignore[arg-type]  # read and given in one form
        tab = Tab(context.new_page(), url)
        yield tab
        assert not tab.problems, "\n".join(tab.problems)


@contextmanager
def open_browser() -> Iterator[ConsoleBrowser]:
    """Run Chromium until the block ends."""
    if CHROMIUM is None:
        pytest.skip(ABSENT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS])
        try:
            yield ConsoleBrowser(browser)
        finally:
            browser.close()
