"""Partners whose HTTP is odd but lawful: each notice arrives once, and is recorded as that.

Counted on both sides: the requests that the partner received, and the attempts that we recorded.
"""

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from ssl import SSLContext
from typing import Any

import pytest

from models.access.values import Access, Basic
from models.monitoring.stats import collect_stats
from models.outbox.causes import Cause
from tests.support.certificates import identity
from tests.support.delivery_setup import RUN_MAX, DeliverySetup
from tests.support.harness import SLIP
from tests.support.raw_server import Line, RawServer, raw_server
from tests.support.token_server import give, token_server
from tests.support.wallet_setup import settle
from worker.delivery.failure_streak import FAILURES_MAX

ODD: dict[str, bytes] = {
    "framed by close": b"HTTP/1.1 200 OK\r\n\r\nok",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\nok",
    "interim": b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n",
    "gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"ok", mtime=0),
    "deflate": b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n\r\n" + zlib.compress(b"ok"),
    "text called gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nok",
    "trailer called gzip": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\nok\r\n0\r\nContent-Encoding: gzip\r\n\r\n",
    "unknown compression": b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\n\x0b\x00\x80ok\x03",
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "205": b"HTTP/1.1 205 Reset Content\r\n\r\n",
    "UTF-16": b"HTTP/1.1 200 OK\r\n\r\n" + "ok".encode("utf-16"),
}
ENDS_ITSELF = {"interim", "trailers", "trailer called gzip", "204", "205"}
STORED: dict[str, str | None] = {
    "unknown compression": "(6 bytes that cannot be read; compression: br)",
    "204": None,
    "205": None,
}


def keys_of(server: RawServer) -> Counter[str]:
    """How often the partner received each notice."""
    keys = []
    for request in server.requests:
        body = json.loads(request.partition(b"\r\n\r\n")[2])
        keys.append(body.get("action") or body["transactionId"])
    return Counter(keys)


@contextmanager
def partner_saying(
    response: bytes, *, kept: bool = True, tls: SSLContext | None = None
) -> Iterator[RawServer]:
    """A partner that answers everything alike; it closes each connection unless it is *kept*.

    With *tls* it does so without a word (no close_notify).
    """
    received: list[bytes] = []

    def converse(line: Line) -> None:
        while (request := line.request()) is not None:
            received.append(request)
            line.send(response)
            if not kept:
                return

    with raw_server(converse, tls=tls) as server:
        server.requests = received
        yield server


def attempts(delivery: DeliverySetup) -> list[tuple[Any, ...]]:
    kept = delivery.attempts("verdict, http_status, problem, answer")
    return [tuple(row) for row in kept]


@pytest.mark.parametrize("kept", [False, True], ids=["closed", "kept"])
@pytest.mark.parametrize("habit", ODD)
def test_an_odd_success_is_one_delivery(delivery, habit, kept):
    kept = kept and habit in ENDS_ITSELF  # else its end is the end
    with partner_saying(ODD[habit], kept=kept) as server:
        delivery.operator("acme", server.url + "hook?key=a%2Fb")
        delivery.publish("acme", ("ticket_win", "1"), ("ticket_rollback", "1"))
        delivery.deliver()

    status = int(habit) if habit.isdigit() else 200
    assert keys_of(server) == {"ticket_win": 1, "ticket_rollback": 1}
    assert all(b"POST /hook?key=a%2Fb HTTP/1.1\r\n" in request for request in server.requests)
    assert attempts(delivery) == [("delivered", status, None, STORED.get(habit, "ok"))] * 2


@pytest.mark.parametrize("ending", ["PAM", "wallet"])
def test_tls_that_ends_without_a_word_is_one_delivery(delivery, tmp_path, ending):
    """No length, no close_notify: the status counts, and a wallet's document if it is whole."""
    body = b'{"status":{"code":0}}'
    with partner_saying(
        b"HTTP/1.1 200 OK\r\n\r\n" + body, kept=False, tls=identity(tmp_path)
    ) as server:
        if ending == "PAM":
            delivery.operator("acme", server.url)
            delivery.publish("acme", ("ticket_win", "1"))
        else:
            delivery.operator("house", server.url, protocol="seamless", agent="agentId")
            settle(delivery, "ticket_win")
        loop = delivery.delivery_loop(partner_ca_file=str(tmp_path / "partner.pem"))
        loop.run(lasting=RUN_MAX)

    assert list(keys_of(server).values()) == [1]
    assert attempts(delivery) == [("delivered", 200, None, body.decode())]


def head(status: str, body: bytes, *lines: str) -> bytes:
    rest = "".join(f"{line}\r\n" for line in lines)
    return f"HTTP/1.1 {status}\r\n{rest}Content-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("terms", "response", "attempt"),
    [
        ({"taken": "2xx,409"}, head("409 Conflict", b"known"), ("delivered", 409, None, "known")),
        ({"taken": "504"}, head("504 Late", b""), ("delivered", 504, None, None)),
        (
            {"taken": "200"},
            head("202 Accepted", b""),
            ("unanswered", 202, "answered 202; only 200 accepts a ticket_win", None),
        ),
        ({"success_json": True}, head("200 OK", b"{}"), ("delivered", 200, None, "{}")),
        (
            {"success_json": True},
            head("200 OK", gzip.compress(b"{}", mtime=0), "Content-Encoding: gzip"),
            ("delivered", 200, None, "{}"),
        ),
        (
            {"success_json": True},
            head("200 OK", b"{}", "Content-Encoding: gzip"),
            ("delivered", 200, None, "{}"),
        ),
        (
            {"success_text": "OK"},
            head("200 OK", b"is OK", "Content-Encoding: br"),
            ("delivered", 200, None, "is OK"),
        ),
        (
            {"success_json": True},
            head("200 OK", b"<html>"),
            (
                "unanswered",
                200,
                "answered 200 with a body that is not JSON; a success of this partner is JSON",
                "<html>",
            ),
        ),
        (
            {"success_json": True},
            head("204 No Content", b""),
            (
                "unanswered",
                204,
                "answered 204 without a body; a success of this partner is JSON",
                None,
            ),
        ),
        ({"success_text": "OK"}, head("200 OK", b"is OK"), ("delivered", 200, None, "is OK")),
        (
            {"success_text": "OK"},
            head("200 OK", b"welcome"),
            ("unanswered", 200, "answered 200 without the text of a success: 'OK'", "welcome"),
        ),
        (
            {"success_text": "OK"},
            head("200 OK", b"\x8b\x07\x80", "Content-Encoding: br"),
            (
                "unanswered",
                200,
                "answered 200 with a body that cannot be read (compression: br)",
                "(3 bytes that cannot be read; compression: br)",
            ),
        ),
    ],
)
def test_what_a_success_is_the_terms_decide(delivery, terms, response, attempt):
    with partner_saying(response) as server:
        delivery.operator("acme", server.url, **terms)
        delivery.publish("acme", ("ticket_win", "1"))
        delivery.deliver()

    assert keys_of(server) == {"ticket_win": 1}
    assert attempts(delivery) == [attempt]


@pytest.mark.parametrize(
    ("terms", "status", "ends"),
    [
        ({}, "201 Created", "cancelled"),
        ({}, "202 Accepted", "cancelled"),
        ({}, "204 No Content", "cancelled"),
        ({"create_taken": "2xx"}, "201 Created", "open"),
        ({"create_taken": "200,201"}, "202 Accepted", "cancelled"),
        ({"create_taken": "2xx", "success_json": True}, "201 Created", "cancelled"),
        ({"taken": "201"}, "201 Created", "cancelled"),
    ],
)
def test_what_takes_a_create_the_terms_decide(delivery, terms, status, ends):
    """Rule 10: never a second time, whatever it is called."""
    with partner_saying(head(status, b"")) as server:
        delivery.operator("acme", server.url, **terms)
        delivery.publish("acme", ("ticket_create", "1"), **SLIP)
        delivery.deliver()

    assert keys_of(server)["ticket_create"] == 1
    assert delivery.rows("SELECT status FROM ticket") == [(ends,)]
    verdict, *_ = attempts(delivery)[0]
    assert verdict == ("delivered" if ends == "open" else "unanswered")


def test_a_redirect_is_not_followed_and_its_target_is_named_without_its_secrets(delivery):
    target = "https://user:pass@new.example/hook?token=abc#part"
    with partner_saying(head("308 Permanent Redirect", b"", f"Location: {target}")) as server:
        delivery.operator("acme", server.url)
        delivery.publish("acme", ("ticket_win", "1"))
        delivery.deliver()

    assert keys_of(server) == {"ticket_win": 1}
    problem = "answered 308; it redirects to https://(masked)@new.example/hook?(masked)"
    assert attempts(delivery) == [("again", 308, problem, None)]
    (kept,) = delivery.rows("SELECT response_headers::text FROM delivery_attempt")
    assert "abc" not in kept[0]
    assert "pass@" not in kept[0]


def test_the_target_of_a_redirect_is_exported_for_the_alert(delivery):
    with partner_saying(head("302 Found", b"", "Location: /sign-in?next=%2F")) as server:
        delivery.operator("acme", server.url)
        delivery.publish("acme", *(("ticket_win", f"t{number}") for number in range(FAILURES_MAX)))
        delivery.deliver()
    with delivery.engine.begin() as connection:
        (acme,) = collect_stats(connection, now=delivery.clock.now()).operators

    assert set(keys_of(server).values()) == {FAILURES_MAX}
    assert (acme.circuit, acme.redirects_to) == (Cause.REDIRECT, "/sign-in?(masked)")


WALLET_ODD: dict[str, tuple[str, bytes, str | None]] = {
    "201": ("201 Created", b"%s", None),
    "BOM": ("200 OK", b"\xef\xbb\xbf%s", "answer_byte_order_mark"),
    "code as text": ("200 OK", b"%s", "code_as_text"),
    "not UTF-8": ("200 OK", b"%s", "answer_not_utf_8"),
    "UTF-16": ("200 OK", b"%s", "answer_utf_16"),
    "gzip": ("200 OK", b"%s", None),
}


@pytest.mark.parametrize("habit", WALLET_ODD)
def test_what_a_wallet_almost_says_right_is_one_payout(delivery, habit):
    """Its path goes before the query of the URL."""
    received: list[bytes] = []

    def converse(line: Line) -> None:
        while (request := line.request()) is not None:
            received.append(request)
            line.send(wallet_response(habit, json.loads(request.partition(b"\r\n\r\n")[2])))

    with raw_server(converse) as server:
        server.requests = received
        url = server.url + "api/?key=1"
        delivery.operator("house", url, protocol="seamless", agent="agentId")
        settle(delivery, "ticket_win")
        delivery.deliver()

    assert list(keys_of(server).values()) == [1]
    assert received[0].startswith(b"POST /api/payout?key=1 HTTP/1.1\r\n")
    doubt = WALLET_ODD[habit][2]
    ((verdict, remarks),) = delivery.attempts("verdict, remarks")
    assert verdict == "delivered"
    assert remarks.get("doubts") == (None if doubt is None else [doubt])


@pytest.mark.parametrize("method", ["basic", "oauth"])
def test_a_wallet_s_code_with_a_401_is_about_the_call_and_not_about_us(delivery, method):
    """Neither a lock-out nor a token that is taken no longer: the same call comes again later."""
    with (
        partner_saying(head("401 Unauthorized", b'{"status":{"code":999}}')) as server,
        token_server() as tokens,
    ):
        delivery.operator("house", server.url, protocol="seamless", agent="agentId")
        basic = Basic("us", "a-password")
        access = Access(basic=basic) if method == "basic" else Access(oauth=tokens.credentials)
        give(delivery, "house", access)
        settle(delivery, "ticket_win")
        delivery.deliver()

    assert list(keys_of(server).values()) == [1]
    assert attempts(delivery)[0][:3] == ("again", 401, "answered status.code 999")
    assert delivery.rows("SELECT 1 FROM circuit WHERE opened_at IS NOT NULL") == []
    assert delivery.rows("SELECT tries FROM notice") == [(1,)]


def wallet_response(habit: str, call: dict[str, Any]) -> bytes:
    """Answer *call* with the *habit*: it was paid."""
    status, frame, _ = WALLET_ODD[habit]
    code = '"0"' if habit == "code as text" else "0"
    after = 100 + call["amount"]
    text = (
        f'{{"status":{{"code":{code},"message":"gr\xfc\xdfe"}},"data":{{"refId":'
        f'"{call["transactionId"]}","balance":{{"before":100,"after":{after}}}}}}}'
    )
    charset = {"not UTF-8": "latin-1", "UTF-16": "utf-16"}.get(habit, "utf-8")
    body = frame % text.encode(charset)
    if habit == "gzip":
        return head(status, gzip.compress(body, mtime=0), "Content-Encoding: gzip")
    return head(status, body)
