"""Messages moved from a Celery queue become events, and nothing in one ever raises.

The envelopes are those of real clients, of messages that were damaged on the way, and of those that
would stop a Celery worker. What is no event is stored with what was wrong.
"""

import json
from base64 import b64encode
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.events.decode import read
from models.events.event import Entry, Event, Unreadable
from models.vocabulary import Action
from tests.support.bare_clients import written
from tests.support.entries import ENTRY_ID
from tests.support.envelopes import (
    DATA,
    EVENT,
    NOTHING_AFTER,
    TASK_ID,
    accepted,
    envelope,
    refused,
    task,
)

NOON = datetime(2024, 11, 20, 8, 0, tzinfo=UTC)


def test_the_task_s_name_is_the_action_and_its_id_the_event_s():
    event = accepted(task("ticket_win", kwargs={**DATA, "net_payout": 500}))

    assert (event.action, event.event_id) == (Action.WIN, TASK_ID)
    assert event.data == {**DATA, "net_payout": 500}
    assert event.occurred_at is None
    assert event.sequence is None


def test_time_and_number_are_lifted_out_of_the_arguments():
    event = accepted(task(kwargs={**DATA, "occurred_at": NOON.isoformat(), "sequence": 3}))

    assert (event.occurred_at, event.sequence, event.data) == (NOON, 3, DATA)


def test_a_datetime_is_taken_as_kombu_writes_it():
    body = written([[], {**DATA, "occurred_at": NOON}, NOTHING_AFTER])
    headers = {"task": "ticket_win", "id": TASK_ID}

    assert accepted(envelope(body, headers=headers)).occurred_at == NOON
    assert accepted(envelope(written({**EVENT, "occurred_at": NOON}))).occurred_at == NOON


def test_one_positional_object_is_the_data():
    event = accepted(task(args=[DATA], kwargs={"occurred_at": NOON.isoformat()}))

    assert (event.data, event.occurred_at) == (DATA, NOON)


def test_a_plain_message_is_the_event_itself():
    event = accepted(envelope({**EVENT, "occurred_at": NOON.isoformat(), "sequence": 1}))

    assert (event.event_id, event.action, event.data) == ("e-1", Action.LOST, DATA)
    assert (event.occurred_at, event.sequence) == (NOON, 1)


def test_a_plain_message_without_an_id_gets_the_entry_s():
    assert accepted(envelope({"action": "ticket_lost", "data": DATA})).event_id == (
        f"stream:{ENTRY_ID}"
    )


def test_the_smallest_message_that_runs_anywhere_runs_here():
    """The body may be plain text when no `body_encoding` says otherwise."""
    raw = json.dumps(
        {
            "body": json.dumps([[], DATA, None]),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {"task": "ticket_win", "id": "min-1"},
            "properties": {
                "delivery_tag": "1",
                "delivery_info": {"exchange": "", "routing_key": "tickets"},
            },
        }
    ).encode()

    assert (accepted(raw).event_id, accepted(raw).data) == ("min-1", DATA)


def test_the_older_protocol_of_clients_in_other_languages_is_read():
    call = {"task": "ticket_win", "id": "old-1", "args": [], "kwargs": DATA, "retries": 0}
    times = {"eta": None, "expires": None}

    event = accepted(envelope(call | times))

    assert (event.action, event.event_id, event.data) == (Action.WIN, "old-1", DATA)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["task", "id", "args", "kwargs", "action", "data", "operator"])
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


def in_base64(content: object) -> str:
    return b64encode(json.dumps(content).encode()).decode()


ENVELOPES = st.fixed_dictionaries(
    {},
    optional={
        "body": ANYTHING | ANYTHING.map(json.dumps) | ANYTHING.map(in_base64),
        "content-type": st.sampled_from(["application/json", "text/plain"]) | ANYTHING,
        "content-encoding": st.sampled_from(["utf-8", "binary", None]) | ANYTHING,
        "headers": ANYTHING
        | st.fixed_dictionaries({"task": st.just("ticket_win"), "id": ANYTHING}),
        "properties": ANYTHING
        | st.just(
            {
                "delivery_tag": "1",
                "delivery_info": {"exchange": "", "routing_key": "tickets"},
                "body_encoding": "base64",
            }
        ),
    },
)


@settings(max_examples=500)
@given((ENVELOPES | ANYTHING).map(json.dumps).map(str.encode) | st.binary())
def test_nothing_in_an_envelope_raises(raw):
    result = read(Entry(ENTRY_ID, {b"type": b"CELERY", b"event": raw}))

    assert isinstance(result, Event | Unreadable)


@settings(max_examples=500)
@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING)
def test_nothing_in_a_task_s_body_raises(name, args, kwargs, embed):
    raw = task(name, args, kwargs, embed=embed)

    assert isinstance(
        read(Entry(ENTRY_ID, {b"type": b"CELERY", b"event": raw})), Event | Unreadable
    )


# --- refusals -------------------------------------------------------------------------------------

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
