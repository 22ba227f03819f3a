"""A trace comes in through every channel; a malformed one is dropped with a word, not the event."""

import json
import logging

import pytest

from models.events.decode import read
from models.events.event import Entry, Event
from models.intake.apply import decode_entries
from models.tracing.dropped import DroppedTraceparents
from models.tracing.traceparent import is_sampled, log_fields, read_traceparent, trace_id_of
from tests.support.cloud_events import raw as cloud_event
from tests.support.entries import ENTRY_ID, accepted, published, with_data
from tests.support.envelopes import DATA, EVENT, envelope, task
from tests.support.envelopes import accepted as accepted_message
from tests.support.lottery import settlement

TRACE = "0af7651916cd43dd8448eb211c80319c"
GIVEN = f"00-{TRACE}-b7ad6b7169203331-01"
OTHER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (GIVEN, GIVEN),
        (GIVEN.encode(), GIVEN),
        (f"00-{TRACE}-b7ad6b7169203331-ff", f"00-{TRACE}-b7ad6b7169203331-03"),
        (f"cc-{TRACE}-b7ad6b7169203331-01", GIVEN),
        (f"cc-{TRACE}-b7ad6b7169203331-01-what-will-be", GIVEN),
        (None, None),
    ],
    ids=["text", "bytes", "unknown flags", "later version", "with more", "absent"],
)
def test_it_is_kept_in_the_form_of_version_00(given, kept):
    assert read_traceparent(given) == kept


@pytest.mark.parametrize(
    "given",
    [
        "",
        "00-1",
        GIVEN.upper(),
        f"{GIVEN}-more",
        f"{GIVEN}\n",
        f" {GIVEN}",
        f"{GIVEN}, {GIVEN}",
        f"ff-{TRACE}-b7ad6b7169203331-01",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}g-b7ad6b7169203331-01",
        f"cc-{TRACE}-b7ad6b7169203331-01-{'x' * 512}",
        "\u0660" * 55,
        7,
        {"trace": TRACE},
    ],
    ids=[
        *("empty", "short", "capitals", "more", "line feed", "space", "two", "version ff"),
        *("no trace", "no span", "not hexadecimal", "too long", "other digits", "number", "object"),
    ],
)
def test_a_malformed_one_is_none_and_its_event_counts(given):
    assert read_traceparent(given) is None
    assert accepted(published(top={"traceparent": given})).traceparent is None
    assert accepted(cloud_event(traceparent=given)).traceparent is None


def test_what_it_says_is_read_from_the_kept_form():
    assert (trace_id_of(GIVEN), trace_id_of(None)) == (TRACE, None)
    assert (is_sampled(GIVEN), is_sampled(OTHER), is_sampled(None)) == (True, False, False)
    assert (log_fields(GIVEN), log_fields(None)) == ({"trace_id": TRACE}, {})


@pytest.mark.parametrize(
    "fields",
    [
        {b"event": published()},
        {b"event": cloud_event()},
        {b"event": task(), b"type": b"CELERY"},
        {b"event": envelope(EVENT), b"type": b"CELERY"},
        {b"event": settlement(), b"type": b"LOTTERY_V2", b"operator": b"acme"},
    ],
    ids=["ours", "cloud event", "task", "kombu", "lottery"],
)
def test_a_field_of_the_entry_names_it_for_every_channel(fields):
    event = read(Entry(ENTRY_ID, fields | {b"traceparent": GIVEN.encode()}))

    assert isinstance(event, Event)
    assert event.traceparent == GIVEN


@pytest.mark.parametrize(
    "own",
    [published(top={"traceparent": GIVEN}), cloud_event(traceparent=GIVEN)],
    ids=["ours", "cloud event"],
)
def test_the_event_s_own_comes_before_that_of_its_entry(own):
    event = read(Entry(ENTRY_ID, {b"event": own, b"traceparent": OTHER.encode()}))

    assert isinstance(event, Event)
    assert event.traceparent == GIVEN


def test_celery_and_kombu_have_it_in_their_headers():
    headers: dict[str, object] = {"traceparent": GIVEN}
    of_protocol_1 = envelope({"task": "ticket_win", "id": "e-1", "kwargs": DATA}, headers=headers)

    assert accepted_message(task(headers=headers)).traceparent == GIVEN
    assert accepted_message(of_protocol_1).traceparent == GIVEN
    assert accepted_message(envelope(EVENT, headers=headers)).traceparent == GIVEN
    assert accepted_message(task(headers={"traceparent": ["?"]})).traceparent is None


@pytest.mark.parametrize("name", ["trace_parent", "TraceParent", "traceparent "])
def test_a_name_that_is_nearly_it_refuses_nothing(name):
    """No money depends on it, and publishers may send such a field today."""
    assert accepted(published(top={name: GIVEN})).traceparent is None
    assert accepted(with_data(f'"{name}":"{GIVEN}"')).traceparent is None
    assert accepted(cloud_event(**{name: GIVEN})).traceparent is None
    assert isinstance(read(Entry(ENTRY_ID, {b"event": published(), name.encode(): b"1"})), Event)


def test_one_within_data_is_the_publisher_s_own():
    event = accepted(published(traceparent=GIVEN))

    assert (event.traceparent, event.data["traceparent"]) == (None, GIVEN)


def test_malformed_ones_are_counted_and_said_once_a_minute(caplog):
    now = 100.0
    dropped = DroppedTraceparents(lambda: now)

    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            dropped.add("it is no text")
        now = 160.0
        dropped.add("it has 4 characters")

    assert caplog.messages == ["traceparent_dropped"] * 2
    assert [vars(line)["count"] for line in caplog.records] == [1, 3]


def test_what_stands_in_its_place_is_not_logged(caplog, monkeypatch):
    fresh = DroppedTraceparents(lambda: 0.0)
    monkeypatch.setattr("models.tracing.traceparent.DROPPED", fresh)

    with caplog.at_level(logging.WARNING):
        batch = decode_entries(
            [Entry(ENTRY_ID, {b"event": published(), b"traceparent": b"Bearer hush"})]
        )

    assert len(batch.part.events) == 1
    assert "hush" not in json.dumps([vars(line) for line in caplog.records], default=str)
    assert caplog.messages == ["traceparent_dropped"]
