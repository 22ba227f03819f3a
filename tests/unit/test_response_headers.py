"""Which headers of a response are kept, and which of them only by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from worker.delivery.http.exchange import HttpResponse
from worker.delivery.response_headers import MASKED, kept_headers, redirect_note


def test_headers_keep_their_order_and_their_repeats():
    lines = [b"Server: nginx\r\n", b"Via: 1.1 a\r\n", b"Via:1.1 b \r\n", b"Empty:\r\n"]

    assert kept_headers(lines) == {
        "headers": [["Server", "nginx"], ["Via", "1.1 a"], ["Via", "1.1 b"], ["Empty", ""]]
    }


def test_of_secrets_only_the_name_is_kept():
    lines = [
        b"Set-Cookie: sid=deadbeef; HttpOnly\r\n",
        b"set-cookie: a=b\r\n",
        b"Authorization: Bearer deadbeef\r\n",
        b"X-Auth-Token: deadbeef\r\n",
        b"x-api-key: deadbeef\r\n",
        b"Location: https://login.example/?next=deadbeef\r\n",
        b'WWW-Authenticate: Basic realm="pam"\r\n',
    ]

    kept = kept_headers(lines)

    assert kept is not None
    assert "deadbeef" not in str(kept)
    assert kept["headers"][0] == ["Set-Cookie", MASKED]
    assert kept["headers"][5] == ["Location", f"https://login.example/?{MASKED}"]
    assert kept["headers"][6] == ["WWW-Authenticate", 'Basic realm="pam"']


def test_what_was_left_out_is_counted_and_nothing_is_kept_of_nothing():
    assert kept_headers([b"A: b\r\n"], omitted=3) == {"headers": [["A", "b"]], "omitted": 3}
    assert kept_headers([]) is None
    assert kept_headers([b"no header at all\r\n"]) is None


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_whatever_bytes_come_postgresql_and_a_terminal_can_hold_them(lines):
    kept = kept_headers(lines) or {"headers": []}

    assert b"\\u0000" not in to_json(kept)
    assert all(text.isprintable() for header in kept["headers"] for text in header)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"https://new.example/hook", "https://new.example/hook"),
        (b"//new.example/hook?a=secret#x", "//new.example/hook?(masked)"),
        (b"https://user:secret@new.example", "https://(masked)@new.example"),
        (b"https://:secret@[::1]:8443/a@b", "https://(masked)@[::1]:8443/a@b"),
        (b"https://secret%40x@new.example?x", "https://(masked)@new.example?(masked)"),
        (b"/hook/#secret", "/hook/"),
        (b"/a b; the last: answered 401", "/a%20b%3B%20the%20last:%20answered%20401"),
        (b"/" + b"x" * 1000, "/" + "x" * 299),
    ],
)
def test_where_a_redirect_leads_is_named_without_what_may_be_secret(value, shown):
    response = HttpResponse(302, b"", headers=[b"X-A: b\r\n", b"LOCATION: " + value + b"\r\n"])

    assert redirect_note(response) == f"; it redirects to {shown}"
    assert redirect_note(HttpResponse(201, b"", headers=response.headers)) == ""


def test_a_redirect_may_name_no_target():
    assert redirect_note(HttpResponse(302, b"", headers=[b"Location: \r\n"])) == ""
