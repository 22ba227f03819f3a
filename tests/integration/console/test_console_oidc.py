"""Signing in through a real OpenID Connect provider: npm's `oidc-provider`."""

import json
import secrets
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from tests.support.certificates import identity
from tests.support.console_app import ConsoleApp, ConsoleClient, Page, console_app_on
from tests.support.free_port import free_port
from tests.support.npm_packages import install_packages
from tests.support.plain_settings import plain_settings
from tests.support.sources import ROOT

SCRIPT = ROOT / "tests/support/oidc_provider.mjs"
PEOPLE = {
    "sub-1": {"preferred_username": "Anna", "groups": ["staff", "slipway-ops"]},
    "sub-2": {"preferred_username": "Ben", "groups": ["kitchen"]},
    "sub-3": {"preferred_username": "viewer", "groups": ["slipway-ops"]},
}
USERS = text("SELECT name, role, source FROM user_account WHERE source = 'oidc' ORDER BY name")

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Signing:
    """A console with its provider."""

    console: ConsoleApp
    trust: ssl.SSLContext
    issuer: str

    def browser(self) -> ConsoleClient:
        """A browser that trusts the provider's certificate."""
        return self.console.stranger(trust=self.trust)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package."""
    return install_packages(tmp_path_factory.mktemp("npm"), "oidc-provider@9.13.3")


@contextmanager
def provider(packages: Path, folder: Path, client: dict[str, object]) -> Iterator[str]:
    """Run the provider; its issuer."""
    shutil.copy(SCRIPT, packages / "provider.mjs")
    settings = {
        "key": str(folder / "partner.key"),
        "certificate": str(folder / "partner.pem"),
        "client": client,
        "people": PEOPLE,
    }
    process = subprocess.Popen(
        [shutil.which("node") or "node", "provider.mjs"],
        cwd=packages,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(settings))
        process.stdin.close()
        lines = iter(process.stdout.readline, "")
        yield next(line.strip() for line in lines if line.startswith("https://"))
        process.stdout.close()
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def signing(packages: Path, tmp_path: Path, database: str, engine: Engine) -> Iterator[Signing]:
    identity(tmp_path)
    port = free_port()
    secret = secrets.token_urlsafe()
    client: dict[str, object] = {
        "client_id": "slipway",
        "client_secret": secret,
        "redirect_uris": [f"http://127.0.0.1:{port}/sign-in/oidc/back"],
    }
    with ExitStack() as ending:
        issuer = ending.enter_context(provider(packages, tmp_path, client))
        secret_file = tmp_path / "secret"
        secret_file.write_text(secret + "\n")
        settings = plain_settings(
            database_url=database,
            console_url=f"http://127.0.0.1:{port}",
            console_oidc_issuer=issuer,
            console_oidc_client_id="slipway",
            console_oidc_client_secret_file=secret_file,
            console_oidc_ca_file=tmp_path / "partner.pem",
            console_oidc_networks="127.0.0.0/8",
            console_roles="staff=viewer,slipway-ops=operations",
        )
        console = ending.enter_context(console_app_on(settings, engine, port=port))
        trust = ssl.create_default_context(cafile=str(tmp_path / "partner.pem"))
        yield Signing(console, trust, issuer)


def sign_in_as(browser: ConsoleClient, subject: str, *, to: str = "/") -> Page:
    """Sign in at the provider as its own pages ask for it."""
    page = Page.of(browser.get("/sign-in/oidc", to=to))
    for fields in ({"prompt": "login", "login": subject, "password": "x"}, {"prompt": "consent"}):
        if not page.tree.css("input[name=prompt]"):
            break
        action = page.one("form").attributes["action"] or ""
        page = Page.of(browser.http.post(page.response.url.join(action), data=fields))
    return page


def test_a_person_signs_in_at_the_provider_with_the_highest_role_of_the_groups(
    signing: Signing, engine: Engine
):
    browser = signing.browser()
    assert browser.page("/").links()["Sign in with your organisation's account"]

    page = sign_in_as(browser, "sub-1", to="/?q=T-1")

    assert str(page.response.url) == f"{signing.console.url}/?q=T-1"
    assert page.text(".who") == "Signed in as Anna, role operations"
    with engine.connect() as connection:
        assert [tuple(row) for row in connection.execute(USERS)] == [("Anna", "operations", "oidc")]


@pytest.mark.parametrize(
    ("subject", "why"), [("sub-2", "has no role"), ("sub-3", "another way to sign in")]
)
def test_a_person_without_a_role_or_with_a_local_name_is_not_signed_in(
    signing: Signing, subject: str, why: str
):
    browser = signing.browser()

    page = sign_in_as(browser, subject)

    assert page.status == 403
    assert why in page.words
    assert browser.page("/").text("h1") == "Sign in"


def test_an_answer_that_this_browser_did_not_ask_for_signs_nobody_in(signing: Signing):
    """Another person's code, or a made-up state, must not become this browser's session."""
    browser, other = signing.browser(), signing.browser()
    other.http.follow_redirects = False
    other.get("/sign-in/oidc")

    forged = browser.get("/sign-in/oidc/back", code="x", state="y", iss=signing.issuer)
    wrong_state = other.get("/sign-in/oidc/back", code="x", state="y")

    assert [forged.status_code, wrong_state.status_code] == [403, 403]


def test_what_the_provider_refuses_is_a_page(signing: Signing):
    browser = signing.browser()
    browser.http.follow_redirects = False
    state = browser.get("/sign-in/oidc").headers["location"].partition("state=")[2].split("&")[0]

    denied = Page.of(browser.get("/sign-in/oidc/back", error="access_denied", state=state))
    elsewhere = browser.get("/sign-in/oidc/back", code="x", state=state, iss="https://evil.example")
    made_up = Page.of(browser.get("/sign-in/oidc/back", code="made-up", state=state))

    assert "access_denied" in denied.words
    assert elsewhere.status_code == 403
    assert "status 400" in made_up.words
    assert made_up.status == 503
