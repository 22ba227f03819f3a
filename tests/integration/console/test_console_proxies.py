"""Behind a proxy that ends TLS, under a path, and with people whom the proxy has signed in."""

import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from models.users import Role
from tests.support.certificates import identity
from tests.support.console_app import ConsoleApp, Page, console_app_on
from tests.support.free_port import free_port
from tests.support.plain_settings import plain_settings
from tests.support.tls_proxy import tls_proxy

PREFIX = "/slipway"
TRUSTED = "127.0.0.0/8"


@dataclass(frozen=True)
class Behind:
    """A console behind nginx."""

    console: ConsoleApp  # through the proxy
    direct: str  # the console's own address
    trust: ssl.SSLContext


@pytest.fixture(params=["stripped", "passed on"])
def behind(
    request: pytest.FixtureRequest, tmp_path: Path, database: str, engine: Engine
) -> Iterator[Behind]:
    identity(tmp_path)
    port = free_port()
    public = f"https://127.0.0.1:{port}{PREFIX}"
    settings = plain_settings(
        database_url=database, console_url=public, console_proxy_networks=TRUSTED
    )
    with ExitStack() as ending:
        console = ending.enter_context(console_app_on(settings, engine))
        slash = "/" if request.param == "stripped" else ""
        ending.enter_context(
            tls_proxy(tmp_path, port=port, location=f"{PREFIX}/", target=console.url + slash)
        )
        trust = ssl.create_default_context(cafile=str(tmp_path / "partner.pem"))
        yield Behind(replace(console, url=public), console.url, trust)


def test_everything_works_under_a_path_over_https(behind: Behind):
    client = behind.console.stranger(trust=behind.trust)
    client.name = "support"

    page = client.sign_in(behind.console.passwords[Role.SUPPORT], to="/?q=1")

    assert str(page.response.url) == f"{behind.console.url}/?q=1"
    assert page.response.headers["strict-transport-security"].startswith("max-age=")
    (cookie,) = [cookie for cookie in client.http.cookies.jar if "session" in cookie.name]
    assert (cookie.name, cookie.path, cookie.secure) == (
        "__Secure-slipway_session",
        PREFIX,
        True,
    )
    sheet = page.one("link[rel=stylesheet]").attributes["href"] or ""
    assert sheet.startswith(f"{PREFIX}/static/")
    assert client.http.get(page.response.url.join(sheet)).status_code == 200
    fields = {"csrf": page.hidden("csrf"), "theme": "dark", "to": "/"}
    dark = client.http.post("theme", data=fields, headers={"Origin": own_origin(behind)})
    assert Page.of(dark).one("html").attributes["data-theme"] == "dark"
    assert client.http.post("sign-out", data=fields).status_code == 200
    assert "Sign in" in client.page("").words


def own_origin(behind: Behind) -> str:
    return behind.console.url.removesuffix(PREFIX)


def test_the_address_of_a_session_is_the_clients_and_not_the_proxys(behind: Behind, engine: Engine):
    client = behind.console.stranger(trust=behind.trust)
    client.name = "support"
    client.sign_in(behind.console.passwords[Role.SUPPORT])

    with engine.connect() as connection:
        remote = connection.execute(text("SELECT remote FROM user_session")).scalar_one()

    assert remote == "203.0.113.9"


@pytest.fixture
def named(tmp_path: Path, database: str, engine: Engine) -> Iterator[Behind]:
    """A console whose proxy names the person `Carla` of the group `helpdesk`."""
    identity(tmp_path)
    port = free_port()
    public = f"https://127.0.0.1:{port}"
    settings = plain_settings(
        database_url=database,
        console_url=public,
        console_proxy_networks=TRUSTED,
        console_proxy_user_header="X-Forwarded-User",
        console_proxy_role_header="X-Forwarded-Groups",
        console_roles="helpdesk=support,ops=operations",
    )
    with ExitStack() as ending:
        console = ending.enter_context(console_app_on(settings, engine))
        headers = (
            "proxy_set_header X-Forwarded-User Carla;"
            ' proxy_set_header X-Forwarded-Groups "staff, helpdesk";'
        )
        ending.enter_context(
            tls_proxy(tmp_path, port=port, location="/", target=console.url, headers=headers)
        )
        trust = ssl.create_default_context(cafile=str(tmp_path / "partner.pem"))
        yield Behind(replace(console, url=public), console.url, trust)


def test_whom_a_trusted_proxy_names_is_signed_in(named: Behind):
    client = named.console.stranger(trust=named.trust)

    page = client.page("/", q="1")

    assert page.text(".who") == "Signed in as Carla, role support"
    assert str(page.response.url) == f"{named.console.url}/?q=1"
    (cookie,) = [cookie for cookie in client.http.cookies.jar if "session" in cookie.name]
    assert (cookie.name, cookie.path, cookie.secure) == ("__Host-slipway_session", "/", True)


def test_signing_out_does_not_sign_in_again_unasked(named: Behind):
    client = named.console.stranger(trust=named.trust)
    client.page("/")

    page = Page.of(client.post("/sign-out"))

    assert page.text("h1") == "Sign in"
    assert "Continue as Carla" in page.links()


def test_the_header_of_a_browser_does_not_get_through(named: Behind):
    client = named.console.stranger(trust=named.trust)
    client.http.headers["X-Forwarded-User"] = "operations"

    assert client.page("/").text(".who") == "Signed in as Carla, role support"


def test_the_header_from_anywhere_else_counts_for_nothing(database: str, engine: Engine):
    settings = plain_settings(
        database_url=database,
        console_proxy_networks="10.1.2.0/24",
        console_proxy_user_header="X-Forwarded-User",
        console_proxy_role_header="X-Forwarded-Groups",
        console_roles="ops=operations",
    )
    with console_app_on(settings, engine) as console:
        client = console.stranger()
        client.http.headers["X-Forwarded-User"] = "Mallory"
        client.http.headers["X-Forwarded-Groups"] = "ops"
        client.http.headers["X-Forwarded-Proto"] = "https"

        page = client.page("/")

        assert page.text("h1") == "Sign in"
        assert "strict-transport-security" not in page.response.headers


def test_a_session_of_another_person_ends_where_the_proxy_names_somebody(
    database: str, engine: Engine
):
    settings = plain_settings(
        database_url=database,
        console_proxy_networks=TRUSTED,
        console_proxy_user_header="X-Forwarded-User",
        console_proxy_role_header="X-Forwarded-Groups",
        console_roles="helpdesk=support,ops=operations",
    )
    with console_app_on(settings, engine) as console:
        client = console.operations
        client.http.headers["X-Forwarded-User"] = "Carla"
        client.http.headers["X-Forwarded-Groups"] = "helpdesk"
        assert client.page("/").text(".who") == "Signed in as Carla, role support"

        client.http.headers["X-Forwarded-Groups"] = "ops"
        assert client.page("/").text(".who") == "Signed in as Carla, role operations"

        client.http.headers["X-Forwarded-User"] = "support"
        assert client.page("/", status=403).text("h1") == "Not signed in"
