"""Nobody reads a page without a session, and the form leads back to the page that was wanted."""

import pytest

from models.users import Role
from tests.support.console_app import ConsoleApp, Page


def test_a_page_asks_to_sign_in_and_leads_back_to_where_the_person_was(console: ConsoleApp):
    client = console.stranger()
    form = client.page("/", q="T-1")
    assert form.text("h1") == "Sign in"
    assert form.hidden("to") == "/?q=T-1"

    client.name = "viewer"
    page = client.sign_in(console.passwords[Role.VIEWER], to="/?q=T-1")

    assert page.text("h1") == "Search"
    assert str(page.response.url) == f"{console.url}/?q=T-1"


@pytest.mark.parametrize(
    "to", ["https://evil.example", "//evil.example", "/\\evil.example", "/\tx", "javascript:x"]
)
def test_signing_in_leads_to_paths_of_ours_alone(console: ConsoleApp, to: str):
    client = console.stranger()
    client.name = "viewer"

    page = client.sign_in(console.passwords[Role.VIEWER], to=to)

    assert str(page.response.url) == f"{console.url}/"


def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(console: ConsoleApp):
    client = console.stranger()

    wrong = client.sign_in("not the password", name="viewer")
    unknown = client.sign_in("not the password", name="nobody-of-us")

    assert wrong.status == unknown.status == 403
    assert wrong.text(".message") == unknown.text(".message")
    assert client.page("/").text("h1") == "Sign in"


def test_signing_out_ends_the_session_in_the_database_too(console: ConsoleApp):
    client = console.viewer
    cookies = dict(client.http.cookies)

    page = Page.of(client.post("/sign-out"))

    assert page.text("h1") == "Sign in"
    assert "signed out" in page.words
    thief = console.stranger()
    thief.http.cookies.update(cookies)
    assert thief.page("/").text("h1") == "Sign in"


def test_the_session_cookie_cannot_be_read_by_scripts_or_sent_by_other_sites(console: ConsoleApp):
    client = console.stranger(follow_redirects=False)
    form = client.page("/sign-in")
    fields = {"csrf": form.hidden("csrf"), "to": "/", "name": "viewer"}

    response = client.http.post(
        "/sign-in", data={**fields, "password": console.passwords[Role.VIEWER]}
    )

    (cookie,) = [line for line in response.headers.get_list("set-cookie") if "_session=" in line]
    assert cookie.startswith("slipway_session=")
    assert {"HttpOnly", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))


def test_the_sign_in_form_of_another_browser_is_refused(console: ConsoleApp):
    other = console.stranger().page("/sign-in").hidden("csrf")
    client = console.stranger()
    client.page("/sign-in")

    response = client.http.post(
        "/sign-in",
        data={"csrf": other, "name": "viewer", "password": console.passwords[Role.VIEWER]},
    )

    assert response.status_code == 403
    assert client.page("/").text("h1") == "Sign in"
