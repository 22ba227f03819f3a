"""What stands before every page: session, role, token, origin, limits; and error pages."""

import http.client
from contextlib import closing
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from selectolax.lexbor import LexborHTMLParser
from sqlalchemy import Engine, text

from tests.support import console_probe_pages
from tests.support.console_app import ConsoleApp, Page, console_app_on
from tests.support.plain_settings import plain_settings
from worker.console.http.security_headers import CONTENT_SECURITY_POLICY
from worker.console.limits import ConsoleLimits

SHORT = timedelta(seconds=1.5)  # enough for every other statement, on a machine that is busy
MARKS = text("SELECT who, why FROM intervention WHERE did = 'probe'")


def marks(engine: Engine) -> list[tuple[str, str]]:
    with engine.connect() as connection:
        return [(row.who, row.why) for row in connection.execute(MARKS)]


def test_a_page_that_names_no_role_is_behind_the_sign_in_all_the_same(probed: ConsoleApp):
    stranger = probed.stranger()

    assert "secret" not in stranger.get("/probe/open").text
    assert stranger.page("/probe/open").text("h1") == "Sign in"
    assert "secret" in probed.viewer.get("/probe/open").text


def test_a_role_is_needed_and_named(probed: ConsoleApp):
    page = probed.viewer.page("/probe/support", status=403)

    assert "needs the role support" in page.words
    assert probed.support.get("/probe/support").json() == {"name": "support"}
    assert probed.operations.get("/probe/support").json() == {"name": "operations"}


def test_an_act_keeps_the_name_and_the_reason(probed: ConsoleApp):
    page = probed.support.act("/probe/act", {"note": "<b>x</b>"}, reason="  the partner asked ")

    assert page.text(".message.good") == "Marked: <b>x</b>"
    assert marks(probed.engine) == [("support", "the partner asked")]
    assert probed.support.page("/").tree.css(".message") == [], "shown once"


@pytest.mark.parametrize("token", ["", "0" * 64, "é"])
def test_a_form_without_the_token_of_its_session_does_nothing(probed: ConsoleApp, token: str):
    response = probed.support.post("/probe/act", {"reason": "forged"}, token=token)

    assert response.status_code == 403
    assert marks(probed.engine) == []


def test_the_token_of_another_session_does_nothing(probed: ConsoleApp):
    other = probed.operations.token()

    response = probed.support.post("/probe/act", {"reason": "forged"}, token=other)

    assert response.status_code == 403
    assert marks(probed.engine) == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_form_of_another_site_does_nothing_even_with_the_token(
    probed: ConsoleApp, headers: dict[str, str]
):
    fields = {"csrf": probed.support.token(), "reason": "forged"}

    response = probed.support.http.post("/probe/act", data=fields, headers=headers)

    assert response.status_code == 403
    assert "another site" in Page.of(response).words
    assert marks(probed.engine) == []


def test_htmx_sends_the_token_as_a_header(probed: ConsoleApp):
    headers = {"X-CSRF-Token": probed.support.token(), "HX-Request": "true"}

    response = probed.support.http.post("/probe/act", data={"reason": "x"}, headers=headers)

    assert response.status_code == 200
    assert marks(probed.engine) == [("support", "x")]


@pytest.mark.parametrize("reason", ["", "   ", "x" * 1001])
def test_a_reason_is_required_and_bounded(probed: ConsoleApp, reason: str):
    page = probed.support.act("/probe/act", reason=reason)

    assert page.status == 422
    assert "Nothing was done" in page.words
    assert marks(probed.engine) == []


def test_what_has_changed_meanwhile_is_refused(probed: ConsoleApp):
    changed = probed.operations.act("/probe/state", {"expected": "open"})

    assert changed.status == 409
    assert "it was open, now it is closed" in changed.words
    response = probed.operations.post("/probe/state", {"expected": "closed", "reason": "x"})
    assert response.text == "done"


def test_an_act_that_is_refused_leaves_nothing_behind(probed: ConsoleApp):
    page = probed.support.act("/probe/conflict")

    assert page.status == 409
    assert "The ticket is closed" in page.words
    assert marks(probed.engine) == []


def test_a_page_cannot_write(probed: ConsoleApp):
    mark = probed.support.act("/probe/act")
    page = probed.viewer.page("/probe/writes", status=503)

    assert mark.status == 200
    assert page.text("[role=alert] h1") == "The database does not respond"
    assert len(marks(probed.engine)) == 1


def test_a_filter_of_100000_characters_is_refused_with_a_page(console: ConsoleApp):
    # httpx refuses to build such an address; a browser does not.
    address = urlsplit(console.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    with closing(connection):
        connection.request("GET", "/?q=" + "x" * 100_000)
        response = connection.getresponse()
        body = response.read().decode()

    assert response.status == 413
    assert "100,002 characters" in LexborHTMLParser(body).text()
    assert Page.of(console.viewer.get("/", q="\0")).status == 422


def test_a_form_that_is_too_large_is_refused_unread(probed: ConsoleApp):
    client = probed.support
    token = client.token()

    declared = client.post("/probe/act", {"reason": "x" * 300_000}, token=token)
    streamed = client.http.post(
        "/probe/act",
        content=iter([b"x" * 100_000] * 4),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    uploaded = client.http.post("/probe/act", files={"reason": b"x"})

    assert [response.status_code for response in (declared, streamed, uploaded)] == [413, 413, 415]
    assert marks(probed.engine) == []


def test_an_unexpected_error_is_a_page_with_an_id_and_without_its_text(probed: ConsoleApp):
    page = probed.viewer.page("/probe/fails", status=500)

    assert "a secret of the program" not in page.response.text
    assert page.response.headers["x-request-id"] in page.words
    assert page.response.headers["content-security-policy"] == CONTENT_SECURITY_POLICY


def test_a_statement_that_takes_too_long_is_not_an_empty_list(database: str, engine: Engine):
    settings, impatient = plain_settings(database_url=database), ConsoleLimits(statement_time=SHORT)
    pages = console_probe_pages.routes
    with console_app_on(settings, engine, limits=impatient, pages=pages) as probed:
        page = probed.viewer.page("/probe/slow", status=503)

    assert page.text("h1") == "The database does not respond"
    assert page.response.headers["retry-after"]


def test_what_is_not_there_and_what_is_too_much_have_pages(probed: ConsoleApp):
    assert probed.viewer.page("/no/such/page", status=404).text("h1") == "Not found"
    assert probed.viewer.page("/probe/busy", status=429).text("h1") == "Too many"
    assert probed.stranger().page("/no/such/page", status=404).text("h1") == "Not found"


def test_ids_with_slashes_stay_whole(probed: ConsoleApp):
    assert probed.viewer.get("/probe/id/a%2Fb%2525").json() == {"id": "a/b%25"}


@pytest.mark.parametrize(
    "path", ["/", "/sign-in", "/no/such/page", "/healthz", "/?q=" + "x" * 9000]
)
def test_every_response_has_the_security_headers(console: ConsoleApp, path: str):
    response = console.stranger(follow_redirects=False).get(path)

    assert response.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "same-origin"
    assert response.headers["cache-control"] == "no-store"
    assert "strict-transport-security" not in response.headers, "it was not https"


def test_probes_and_metrics_need_no_session_and_no_redis(console: ConsoleApp):
    client = console.stranger()

    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}
    console.viewer.page("/")
    assert (
        'slipway_http_requests_total{method="GET",process="console",route="/",status="200"}'
        in client.get("/metrics").text
    )


def test_the_theme_is_kept_in_a_cookie_and_the_page_comes_back(console: ConsoleApp):
    client = console.viewer

    page = Page.of(client.post("/theme", {"theme": "dark", "to": "/?q=1"}))

    assert page.one("html").attributes["data-theme"] == "dark"
    assert str(page.response.url).endswith("/?q=1")
    page = Page.of(client.post("/theme", {"theme": "system", "to": "//evil.example"}))
    assert "data-theme" not in page.one("html").attributes
    assert str(page.response.url) == f"{console.url}/"


def test_files_are_kept_for_a_year_under_addresses_that_change(console: ConsoleApp):
    client = console.stranger()
    page = client.page("/sign-in")
    sheet = page.one("link[rel=stylesheet]").attributes["href"] or ""

    current = client.get(sheet)
    former = client.get("/static/000000000000/console.css")

    assert "immutable" in current.headers["cache-control"]
    assert current.headers["content-type"].startswith("text/css")
    assert former.text == current.text
    assert "immutable" not in former.headers["cache-control"]
    assert client.get("/static/000000000000/../app.py").status_code == 404
    assert client.get("/static/000000000000/vendor/README.md").status_code == 404
