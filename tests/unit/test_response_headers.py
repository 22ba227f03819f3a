"""Which headers of a response are kept, and which of them only by name."""

from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from worker.delivery.response_headers import MASKED, kept_headers


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
