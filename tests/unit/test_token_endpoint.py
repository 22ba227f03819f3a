"""What a token endpoint is sent, and how its responses are read: odd ones, too."""

import json
from base64 import b64decode
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest

from models.access.values import ClientCredentials
from models.outbox.causes import Cause, cause_of
from worker.delivery.http.exchange import CallResult, HttpResponse, NoResponse, NotReached
from worker.delivery.token_endpoint import (
    LIFETIME_MAX,
    LIFETIME_MIN,
    LIFETIME_UNSAID,
    TOKEN_CHARACTERS_MAX,
    Granted,
    NotGranted,
    TokenOutcome,
    read_lifetime,
    read_token,
    token_request,
)

SECRET = "canary 7Hq:ä&+"
CREDENTIALS = ClientCredentials("https://id.example/token?key=canary-key", "us:er", SECRET)
BEGINNING = "the token endpoint https://id.example/token?(masked)"
END = "(slipway operators access acme)"


def read(status: int, body: bytes | dict[str, object], **more: object) -> Granted | NotGranted:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given: dict[str, Any] = more
    response = HttpResponse(status, content, **given)
    return read_token(response, CREDENTIALS, code="acme")


def problem(met: Granted | NotGranted) -> str:
    assert isinstance(met, NotGranted), "there should be no token"
    assert "canary" not in met.problem
    assert cause_of(met.problem) is Cause.TOKEN
    assert met.problem.startswith(BEGINNING)
    return met.problem.removeprefix(BEGINNING).removesuffix(END).strip()


def test_basic_encodes_id_and_secret_as_a_form_does():
    """RFC 6749, 2.3.1; a colon in the id would end it otherwise."""
    credentials = replace(CREDENTIALS, scope="notices write", audience="urn:casino")

    request = token_request(credentials, user_agent="Casino/2")

    scheme, _, pair = request.headers["Authorization"].partition(" ")
    assert scheme == "Basic"
    assert b64decode(pair) == b"us%3Aer:canary+7Hq%3A%C3%A4%26%2B"
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.headers["User-Agent"] == "Casino/2"
    assert request.body == (
        b"grant_type=client_credentials&scope=notices+write&audience=urn%3Acasino"
    )


def test_in_the_body_they_are_fields_of_the_form():
    request = token_request(replace(CREDENTIALS, in_body=True), user_agent=None)

    assert "Authorization" not in request.headers
    assert "User-Agent" not in request.headers
    assert parse_qs(request.body.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["us:er"],
        "client_secret": [SECRET],
    }


@pytest.mark.parametrize(
    "document",
    [
        {"access_token": "abc.def~_-+/=", "token_type": "Bearer", "expires_in": 60},
        {"access_token": "abc.def~_-+/=", "token_type": "bearer", "expires_in": "60"},
        {"access_token": "abc.def~_-+/=", "expires_in": 60.0, "scope": "less"},
    ],
)
def test_a_token_is_read_also_where_details_are_odd(document):
    expected = Granted("abc.def~_-+/=", timedelta(seconds=60))

    assert read(200, document) == expected
    assert read(201, b"\xef\xbb\xbf" + json.dumps(document).encode()) == expected
    in_latin_1 = json.dumps(document | {"note": "für Sie"}, ensure_ascii=False).encode("latin-1")
    assert read(200, in_latin_1) == expected


@pytest.mark.parametrize(
    ("expires_in", "lifetime"),
    [
        (3600, timedelta(hours=1)),
        ("3600", timedelta(hours=1)),
        (0, LIFETIME_MIN),
        (-1, LIFETIME_MIN),
        (10**30, LIFETIME_MAX),
        ("9" * 18, LIFETIME_MAX),
        ("9" * 400, LIFETIME_UNSAID),
        (float("inf"), LIFETIME_UNSAID),
        (float("nan"), LIFETIME_UNSAID),
        (None, LIFETIME_UNSAID),
        (True, LIFETIME_UNSAID),
        ("soon", LIFETIME_UNSAID),
        ([3600], LIFETIME_UNSAID),
    ],
)
def test_a_lifetime_is_bounded_whatever_it_says(expires_in, lifetime):
    assert read_lifetime(expires_in) == lifetime


TOKEN = {"access_token": "canary-token", "token_type": "Bearer"}
NOT_JSON = "answered 200 with what is not a JSON object: correct token_url"
NO_HEADER = "answered 200 with a token that no header can hold: ask the partner"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>canary: sign in</html>", NOT_JSON),
        (b"", NOT_JSON),
        (b'["canary"]', NOT_JSON),
        (b"[" * 60_000, NOT_JSON),
        (b'{"expires_in": ' + b"9" * 5000 + b"}", NOT_JSON),
        (b"\xff\xfe{\x00}\x00", NOT_JSON),
        ({"token": "canary"}, "answered 200 without an access_token: correct token_url, or ask"),
        ({"access_token": ""}, "answered 200 without an access_token: correct token_url, or ask"),
        ({"access_token": 4711}, "answered 200 without an access_token: correct token_url, or ask"),
        (TOKEN | {"token_type": "mac"}, "answered 200 with a token that is not of the type Bearer"),
        (TOKEN | {"token_type": None}, "answered 200 with a token that is not of the type Bearer"),
        (TOKEN | {"access_token": "canary\r\nX-Evil: 1"}, NO_HEADER),
        (TOKEN | {"access_token": "canary token"}, NO_HEADER),
        (TOKEN | {"access_token": "canarü"}, NO_HEADER),
        (
            TOKEN | {"access_token": "canary" * TOKEN_CHARACTERS_MAX},
            "answered 200 with a token of more than 16 KiB",
        ),
    ],
)
def test_a_success_without_a_token_that_can_be_used_says_what_is_wrong(body, words):
    met = read(200, body)

    assert problem(met).startswith(words)
    assert isinstance(met, NotGranted)
    assert met.outcome is TokenOutcome.REFUSED


def test_a_response_that_was_cut_off_is_not_read():
    met = read(200, b'{"access_token": "canary"}' + b" " * 65_510, truncated=True)

    assert problem(met) == "answered 200 with more than 64 KiB: correct token_url"


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (
            401,
            {"error": "invalid_client", "error_description": "Client \n unknown"},
            (
                "answered 401 invalid_client (Client \ufffd unknown): correct client_id and"
                " client_secret, or in_body if it wants them in the form"
            ),
        ),
        (400, {"error": "invalid_scope"}, "answered 400 invalid_scope: correct scope"),
        (
            400,
            b'{"error":"invalid_scope","error_description":"ung\xfcltig"}',
            "answered 400 invalid_scope (ung\ufffdltig): correct scope",
        ),
        (400, {"error": "invalid_target"}, "answered 400 invalid_target: correct audience"),
        (400, {"error": "own_word"}, "answered 400 own_word"),
        (400, {"error": ["canary"]}, "answered 400"),
        (400, {"error": "x\n[31m"}, "answered 400"),
        (
            401,
            b"<html>canary</html>",
            (
                "answered 401: correct client_id and client_secret, or in_body if it wants them in"
                " the form"
            ),
        ),
        (404, b"", "answered 404: correct token_url"),
        (503, b"", "answered 503"),
    ],
)
def test_a_refusal_says_what_to_change(status, body, words):
    assert problem(read(status, body)) == words


def test_a_redirect_names_its_target_and_is_not_followed():
    met = read(302, b"", headers=[b"Location: https://other.example/token?key=canary"])

    assert problem(met) == (
        "answered 302; it redirects to https://other.example/token?(masked); redirects are not"
        " followed: correct token_url"
    )


@pytest.mark.parametrize(
    "repeated",
    [SECRET, "canary+7Hq%3A%C3%A4%26%2B", "dXMlM0FlcjpjYW5hcnkrN0hxJTNBJUMzJUE0JTI2JTJC"],
)
def test_what_repeats_the_secret_in_any_form_is_left_out(repeated):
    met = read(401, {"error": repeated, "error_description": f"no client with {repeated}!"})
    moved = read(302, b"", headers=[f"Location: https://id.example/{repeated}".encode()])

    assert repeated not in problem(met)
    assert isinstance(moved, NotGranted)
    assert repeated not in moved.problem


@pytest.mark.parametrize("result", [NotReached("refused"), NoResponse("refused")])
def test_without_a_response_the_problem_of_the_call_follows(result: CallResult):
    met = read_token(result, CREDENTIALS, code="acme")

    assert problem(met) == "gave no response: refused"
    assert isinstance(met, NotGranted)
    assert met.outcome is TokenOutcome.NO_RESPONSE


def test_what_a_busy_endpoint_asks_for_is_kept():
    met = read(429, b"", retry_after="30")

    assert isinstance(met, NotGranted)
    assert met.retry_after == "30"
