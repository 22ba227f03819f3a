"""`POST /events` with NDJSON: good lines are published as they arrive, the others reported."""

import json
import socket
from codecs import BOM_UTF8
from collections.abc import Iterator
from functools import partial
from threading import Event

import pytest
from sqlalchemy import text

from tests.support.concurrent_connections import beside
from tests.support.gateway_app import GatewayApp, event
from tests.support.wait import eventually

REVOKE = text("UPDATE publisher SET revoked_at = :at")


@pytest.fixture(scope="module")
def acme(built: GatewayApp) -> str:
    return built.operator()


@pytest.fixture(scope="module")
def key(built: GatewayApp, acme: str) -> str:
    return built.key(acme)


def line(operator: str, number: int) -> bytes:
    return json.dumps(event(operator, f"T{number}", event_id=f"e{number}")).encode() + b"\n"


def published(gateway_app: GatewayApp, count: int) -> bool:
    return len(gateway_app.on_stream()) == count


def test_the_good_lines_are_published_and_the_others_are_told_by_number(gateway_app, key, acme):
    content = b"".join(
        [line(acme, 1), b"\n", b"{\n", line(acme, 4), b"x" * 300_000, b"\n", line("other", 6)]
    )

    answer = gateway_app.publish_lines(key, content + line(acme, 7).strip())

    assert answer.status_code == 202
    document = answer.json()
    assert (document["accepted"], document["rejected_count"]) == (3, 3)
    assert [line_error["line"] for line_error in document["rejected"]] == [3, 5, 6]
    assert "not JSON" in document["rejected"][0]["error"]
    assert "longer than the maximum of an event" in document["rejected"][1]["error"]
    assert "cannot publish for operator 'other'" in document["rejected"][2]["error"]
    assert [event["event_id"] for event in gateway_app.on_stream()] == ["e1", "e4", "e7"]


def test_a_byte_order_mark_at_the_head_loses_no_event(gateway_app, key, acme):
    answer = gateway_app.publish_lines(key, BOM_UTF8 + line(acme, 1) + line(acme, 2).strip())

    assert (answer.json()["accepted"], answer.json()["rejected_count"]) == (2, 0)
    assert [event["event_id"] for event in gateway_app.on_stream()] == ["e1", "e2"]


@pytest.mark.parametrize(
    ("changed", "accepted", "problem"),
    [
        (lambda text: text + b"\x00", 2, "it holds NUL bytes"),
        (lambda text: text.replace(b"\n", b"\r"), 0, "its lines end with CR alone"),
        (lambda text: text.decode().encode("utf-16"), 0, "it is UTF-16 or UTF-32"),
        (lambda text: text + BOM_UTF8 + text, 3, "it begins with a byte order mark"),
    ],
)
def test_text_in_another_form_is_named_and_no_event_of_it_is_lost_unsaid(
    gateway_app, key, acme, changed, accepted, problem
):
    answer = gateway_app.publish_lines(key, changed(line(acme, 1) + line(acme, 2)))

    document = answer.json()
    assert answer.status_code == (202 if accepted else 422)
    assert document.get("accepted", 0) == accepted == len(gateway_app.on_stream())
    assert problem in answer.text


def test_lines_of_any_number_arrive_in_their_order(gateway_app, key, acme):
    count = 3_000

    answer = gateway_app.publish_lines(key, (line(acme, number) for number in range(count)))

    assert answer.json()["accepted"] == count
    assert [event["event_id"] for event in gateway_app.on_stream()] == [
        f"e{n}" for n in range(count)
    ]


def test_with_no_good_line_it_is_422(gateway_app, key):
    answer = gateway_app.publish_lines(key, b"{}\n[]\n" * 600)

    assert answer.status_code == 422
    assert (
        answer.json()["message"] == "none of the 1200 lines is a valid event; nothing was published"
    )
    assert len(answer.json()["errors"]) == 1000
    assert answer.json()["errors"][1]["at"] == ["body", 2]
    assert gateway_app.publish_lines(key, b"\n\n").status_code == 422


def test_lines_are_published_before_the_body_ends(gateway_app, key, acme):
    """A publisher may keep one request open and see its events go through."""
    enough = Event()

    def trickle() -> Iterator[bytes]:
        yield line(acme, 1)
        assert enough.wait(60)
        yield line(acme, 2)

    def on_stream() -> bool:
        if len(gateway_app.on_stream()) == 1:
            enough.set()
        return enough.is_set()

    with beside(lambda: gateway_app.publish_lines(key, trickle())) as upload:
        eventually(on_stream)
        assert upload.result().json()["accepted"] == 2


def test_a_break_in_the_middle_leaves_a_first_part_and_the_next_upload_its_place(
    gateway_app, key, acme
):
    """A half line is never taken for a whole one, and the request's place is free again."""
    host, port = gateway_app.client.base_url.host, gateway_app.client.base_url.port
    head = f"POST /events HTTP/1.1\r\nHost: x\r\nX-Api-Key: {key}\r\n"
    head += "Content-Type: application/x-ndjson\r\nContent-Length: 1000000\r\n\r\n"
    whole = b"".join(line(acme, number) for number in range(500))
    for broken in range(1, 11):  # more than there are places for uploads
        with socket.create_connection((host, port)) as connection:
            connection.sendall(head.encode() + whole + line(acme, 500)[:-20])
            eventually(partial(published, gateway_app, broken * 500))

    assert gateway_app.publish_lines(key, line(acme, 501)).status_code == 202
    assert {event["event_id"] for event in gateway_app.on_stream()[:-1]} == {
        f"e{n}" for n in range(500)
    }


def test_a_key_that_is_revoked_meanwhile_opens_nothing_further(gateway_app, key, acme):
    def lines() -> Iterator[bytes]:
        yield b"".join(line(acme, number) for number in range(500))
        eventually(lambda: len(gateway_app.on_stream()) == 500)
        with gateway_app.engine.begin() as connection:
            connection.execute(REVOKE, {"at": "2026-11-20T10:00:00Z"})
        yield line(acme, 500)

    answer = gateway_app.publish_lines(key, lines())
    with gateway_app.engine.begin() as connection:
        connection.execute(REVOKE, {"at": None})

    assert answer.status_code == 401
    assert "lines 1 to 500 are processed: 500 accepted, 0 rejected" in answer.json()["message"]
