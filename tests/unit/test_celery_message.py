"""Messages moved from a Celery queue become events, and nothing in one ever raises.

The envelopes are those of real clients, and of messages that were damaged on the way.
"""

import json
from base64 import b64encode
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from models.events.decode import read
from models.events.event import Entry, Event, Unreadable
from models.vocabulary import Action
from tests.support.bare_clients import written
from tests.support.entries import ENTRY_ID
from tests.support.envelopes import DATA, EVENT, NOTHING_AFTER, TASK_ID, accepted, envelope, task

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
