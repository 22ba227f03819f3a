"""Messages from a Celery queue that are no event: each is stored with what was wrong.

Among them are those that would stop a Celery worker.
"""

import json

import pytest

from tests.support.envelopes import DATA, EVENT, TASK_ID, envelope, refused, task

TIMED = [
    task(headers={"eta": "2026-11-20T07:44:22.072601+00:00"}),
    task(headers={"expires": "2026-11-20T07:44:29.072601+00:00"}),
    task(properties={"expiration": "10000"}),
    envelope(EVENT, properties={"expiration": "5000"}),
    envelope({"task": "ticket_win", "id": "1", "kwargs": DATA, "eta": "soon"}),
]


@pytest.mark.parametrize("raw", TIMED)
def test_a_task_with_a_time_is_rejected(raw):
    rejected = refused(raw)

    assert rejected.reason == "timed"
    assert rejected.message.startswith(
        "eta, countdown and expires are not supported: publish the event when it has happened"
    )
    assert (rejected.operator, rejected.ticket_id) == ("acme", "t-1")


WRONG = [
    # what stops a Celery worker, or is lost by it
    (b"ticket_win", "not_json", "not JSON: expected"),
    (b"\xff", "not_utf8", "the message is not UTF-8: byte 0 (invalid start byte)"),
    (b"[]", "invalid_event", "the message is not a JSON object"),
    (b"{}", "invalid_event", "the message's body: is missing; content-type: is missing"),
    (json.dumps(EVENT).encode(), "invalid_event", "this is an event, not a message of Celery or"),
    (envelope(EVENT, body="%%"), "invalid_event", "body is not base64, as its properties announce"),
    (envelope(EVENT, body={}), "invalid_event", "body: Input should be a valid string (was {})"),
    (
        task(properties={"delivery_tag": ...}),
        "invalid_event",
        "properties.delivery_tag: is missing",
    ),
    (task(properties={"delivery_tag": ""}), "invalid_event", "properties.delivery_tag: "),
    (
        task(properties={"delivery_info": {"routing_key": "tickets"}}),
        "invalid_event",
        "the message's properties.delivery_info.exchange: is missing",
    ),
    (envelope(EVENT).replace(b"properties", b"p"), "invalid_event", "properties: is missing"),
    (task(headers={"id": ...}), "invalid_event", "id is missing; a task's id is the event's"),
    (task(headers={"id": ""}), "invalid_event", "id is missing"),
    (task(headers={"id": "x" * 65}), "invalid_event", "event_id: must be 1 to 64 printable"),
    (
        envelope({"a": 1}, headers={"task": "ticket_win", "id": "1"}),
        "invalid_event",
        "body must be",
    ),
    (
        envelope([[], {}], headers={"task": "ticket_win", "id": "1"}),
        "invalid_event",
        "body must be",
    ),
    (envelope([[], DATA, None]), "invalid_event", "headers name no task, which is the action"),
    (envelope(b"{", headers={"task": "ticket_win"}), "not_json", "not JSON: EOF"),
    (envelope(b"\xff"), "not_utf8", "the message's body is not UTF-8"),
    (
        envelope(EVENT).replace(b'"headers": {}', b'"headers": null'),
        "invalid_event",
        "headers: Inp",
    ),
    (task("ticket_lose"), "unknown_action", "did you mean ticket_lost?"),
    (task("app.tasks.ticket_win"), "unknown_action", "did you mean ticket_win?"),
    (task("ticket_closed"), "unknown_action", "ticket_closed is sent by Slipway alone"),
    (task(7), "invalid_event", "task must be the name of an action (was 7)"),
    (task(kwargs=[]), "invalid_event", "kwargs must be an object (was [])"),
    (task(kwargs={}), "invalid_event", "data.operator: is missing; data.ticket_id: is missing"),
    (task(args=["acme", "t-1"], kwargs={}), "invalid_event", "args must be empty or one object"),
    (task(args=[DATA, DATA], kwargs={}), "invalid_event", "args must be empty or one object"),
    (task(args=[DATA]), "invalid_event", "arguments give operator twice"),
    (task(kwargs={**DATA, "event_id": "e"}), "invalid_event", "give it as the task's id"),
    (task(kwargs={**DATA, "occurred_at": "now"}), "invalid_event", "occurred_at: must be RFC 3339"),
    (task(kwargs={**DATA, "price": 5.5}), "invalid_event", "data.price: must be a whole number"),
    (task(embed={"callbacks": [{}]}), "invalid_event", "callbacks would never run: no worker"),
    # what is not JSON, or not as it is
    (task(content_type="application/x-python-serialize"), "invalid_event", "only application/json"),
    (task(content_type="text/plain"), "invalid_event", "content-type is 'text/plain'; only"),
    (task(content_type=...), "invalid_event", "the message's content-type: is missing"),
    (task(content_encoding="utf-16"), "invalid_event", "content-encoding is 'utf-16'; only utf-8"),
    (task(headers={"compression": "application/x-gzip"}), "invalid_event", "body is compressed"),
    (task(properties={"body_encoding": "hex"}), "invalid_event", "body_encoding is 'hex'; base64"),
    (envelope(EVENT | {"action": "ticket_wins"}), "unknown_action", "did you mean ticket_win?"),
    (envelope("ticket_win"), "invalid_event", "the event is not a JSON object"),
    (task(kwargs={**DATA, "x": "y" * 262_144}), "too_large", "at most 262144 are taken"),
    (b" " * 600_000, "too_large", "the message has 600000 bytes; at most 524288 are taken"),
    (b"[" * 9_999, "not_json", "nested too deeply"),
    (envelope(b"[" * 9_999), "not_json", "nested too deeply"),
    (envelope(b'{"action":"ticket_win","data":{"x":1e400}}'), "invalid_event", "data.operator: is"),
]


@pytest.mark.parametrize(("raw", "reason", "message"), WRONG)
def test_a_message_that_is_no_event_is_kept_with_what_was_wrong(raw, reason, message):
    rejected = refused(raw)

    assert (rejected.reason, rejected.raw) == (reason, raw)
    assert (rejected.kind, rejected.whole) == ("CELERY", True)
    assert message in rejected.message


@pytest.mark.parametrize("where", [b"ticket_id", b"stranger"])
def test_what_postgresql_cannot_store_is_refused(where):
    body = b'[[],{"operator":"acme","ticket_id":"t","%s":"a\\u0000"},null]' % where
    raw = envelope(body, headers={"task": "ticket_win", "id": "1"})

    assert refused(raw).reason == "invalid_event"


def test_who_searches_finds_a_refused_message_by_its_ids():
    by_task = refused(task("ticket_lose"))
    by_event = refused(envelope(EVENT | {"action": "ticket_wins"}))
    by_args = refused(task("ticket_lose", args=[DATA], kwargs={}))

    assert (by_task.operator, by_task.ticket_id, by_task.event_id) == ("acme", "t-1", TASK_ID)
    assert (by_event.operator, by_event.ticket_id, by_event.event_id) == ("acme", "t-1", "e-1")
    assert (by_args.operator, by_args.ticket_id) == ("acme", "t-1")
