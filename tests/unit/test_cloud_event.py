"""CloudEvents on the stream: each attribute means what the field of our own format means."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from models.events.decode import read
from models.events.event import Event
from models.events.stream_contract import EVENT_BYTES_MAX
from models.intake.apply import decode_entries
from models.vocabulary import INBOUND
from tests.support.cloud_events import cloud_event, raw
from tests.support.entries import accepted, entry, published, refused
from tests.support.envelopes import envelope
from tests.support.tickets import SLIP

TIME = "2024-11-20T09:00:00Z"
IDS = "must be 1 to 64 printable characters without spaces"


def plain(**top: object) -> bytes:
    return published(top={"event_id": "e-1", **top})


def same(event: Event) -> Event:
    """The event without the entry that brought it."""
    return event._replace(entry=None)


def test_it_is_the_event_that_our_own_format_states():
    by_cloud_event = accepted(raw(time=TIME, sequence="7", subject="t-1"))

    assert same(by_cloud_event) == same(accepted(plain(occurred_at=TIME, sequence=7)))


@pytest.mark.parametrize("action", INBOUND)
@pytest.mark.parametrize("prefix", ["", "com.example.", "a-1.B."])
def test_its_type_is_an_action_alone_or_behind_a_name_in_reverse_dns(action, prefix):
    data = {"operator": "acme", "ticket_id": "t-1", **SLIP}

    assert accepted(raw(type=f"{prefix}{action}", data=data)).action is action


def test_its_subject_names_the_ticket_where_the_data_do_not():
    by_subject = accepted(raw(subject="t-1", data={"operator": "acme"}))

    assert same(by_subject) == same(accepted(plain()))


@pytest.mark.parametrize(
    "more",
    [
        {"tracestate": "rojo=00f067aa0ba902b7"},
        {"dataschema": "https://acme.example/schemas/1", "partitionkey": "9", "sampled": True},
        {"datacontenttype": 'Application/JSON; charset="UTF-8"'},
        {
            "datacontenttype": None,
            "subject": None,
            "time": None,
            "sequence": None,
            "data_base64": None,
        },
        {"source": "/other/source"},
    ],
    ids=["tracestate", "others", "content type", "nulls", "source"],
)
def test_what_is_not_read_changes_nothing(more):
    assert same(accepted(raw(**more))) == same(accepted(plain()))


@pytest.mark.parametrize(("written", "number"), [(5, 5), (5.0, 5), ("5", 5), ("0005", 5)])
def test_its_sequence_is_a_number_or_digits(written, number):
    assert accepted(raw(sequence=written)).sequence == number


def test_without_a_time_it_happened_when_it_arrived():
    event = accepted(raw())

    assert (event.occurred_at, event.order_time) == (None, event.received_at)


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"specversion": "0.3"}, "invalid_event", "specversion: must be the text 1.0: other versions"),
    ({"specversion": 1.0}, "invalid_event", "specversion: must be the text 1.0: other versions"),
    ({"id": ...}, "invalid_event", "id: is missing"),
    ({"id": None}, "invalid_event", f"id: {IDS} (was None)"),
    ({"id": "x" * 65}, "invalid_event", f"id: {IDS} (was"),
    ({"id": "a b"}, "invalid_event", f"id: {IDS} (was 'a b')"),
    ({"id": "Jose\u0301"}, "invalid_event", r"id: must be in Unicode's form NFC: 'Jos\xe9'"),
    ({"source": ...}, "invalid_event", "source: is missing"),
    ({"source": ""}, "invalid_event", "source: must be a URI reference"),
    ({"source": "a b"}, "invalid_event", "source: must be a URI reference"),
    ({"type": ...}, "invalid_event", "type: is missing"),
    ({"type": "com.x.ticket_lose"}, "unknown_action", "type: action 'com.x.ticket_lose' is"),
    ({"type": "ticket_lose"}, "unknown_action", "did you mean ticket_lost?"),
    ({"type": "ticket_win.v1"}, "unknown_action", "type: action 'ticket_win.v1' is not known"),
    ({"type": "ticket_closed"}, "unknown_action", "ticket_closed is sent by Slipway alone"),
    ({"type": "a b.ticket_win"}, "unknown_action", "type: action 'a b.ticket_win' is not known"),
    ({"subject": "t-2"}, "invalid_event", "subject: is another ticket's id than data.ticket_id: "),
    ({"subject": "a b"}, "invalid_event", f"subject: {IDS}: it is the ticket's id (was 'a b')"),
    ({"subject": ""}, "invalid_event", f"subject: {IDS}: it is the ticket's id (was '')"),
    ({"subject": "Jose\u0301"}, "invalid_event", "subject: must be in Unicode's form NFC"),
    ({"time": "2024-11-20T09:00:00"}, "invalid_event", "this one has no offset"),
    ({"time": "now"}, "invalid_event", "time: must be RFC 3339 with an offset"),
    ({"time": 1732094400}, "invalid_event", "time: must be RFC 3339 with an offset"),
    ({"datacontenttype": "text/json"}, "invalid_event", "must be application/json in UTF-8"),
    (
        {"datacontenttype": "application/json; charset=latin-1"},
        "invalid_event",
        "datacontenttype: must be application/json in UTF-8",
    ),
    ({"data_base64": "e30="}, "invalid_event", "data_base64: is not supported; send the facts as"),
    ({"data_base64": "e30=", "data": ...}, "invalid_event", "data_base64: is not supported"),
    ({"expirytime": TIME}, "invalid_event", "expirytime: is not supported: what has happened"),
    ({"sequence": "1a"}, "invalid_event", "sequence: must be a whole number: 1, 2, 3"),
    ({"sequence": "0"}, "invalid_event", "sequence: must be a whole number: 1, 2, 3"),
    ({"data": ...}, "invalid_event", "data: is missing"),
    ({"data": "{}"}, "invalid_event", "data: must be an object (was '{}')"),
    ({"data": []}, "invalid_event", "data: must be an object (was [])"),
    ({"data": {"operator": "acme"}}, "invalid_event", "data.ticket_id: is missing"),
    ({"subject": "t", "data": {}}, "invalid_event", "data.operator: is missing"),
    ({"type": "ticket_open"} | {"data": {"operator": "acme", "ticket_id": "t", "price": 5.5}},
     "invalid_event", "data.price: must be a whole number"),
    ({"type": "ticket_create"}, "invalid_event", "ticket_create needs data.ticket_code"),
    # names that were meant to count
    ({"Action": "ticket_lost"}, "invalid_event", "Action: is not known here; did you mean type?"),
    ({"event_id": "1"}, "invalid_event", "event_id: is not known here; did you mean id?"),
    ({"occurredat": TIME}, "invalid_event", "occurredat: is not known here; did you mean time?"),
    ({"netpayout": 5}, "invalid_event", "netpayout: is not known here; did you mean data.net_pay"),
    ({"dataContentType": "x"}, "invalid_event", "did you mean datacontenttype?"),
    ({"data": {"operator": "acme", "ticket_id": "t", "occurred_at": TIME}},
     "invalid_event", "data.occurred_at: is not known here; did you mean time, beside data?"),
    ({"data": {"operator": "acme", "ticket_id": "t", "netPayout": 5}},
     "invalid_event", "data.netPayout: is not known here; did you mean net_payout?"),
    ({"note": "a\x00b"}, "invalid_event", "note: holds a NUL character; remove it"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "reason", "message"), WRONG)
def test_one_that_is_no_event_is_kept_with_what_was_wrong(change, reason, message):
    given = raw(**change)

    rejected = refused(given)

    assert (rejected.reason, rejected.raw, rejected.whole) == (reason, given, True)
    assert message in rejected.message


def test_a_key_twice_is_refused_at_every_depth():
    twice = raw().replace(b'"source"', b'"time": null, "t\\u0069me": null, "source"')
    in_data = raw().replace(b'"operator"', b'"x": 1, "x": 1, "operator"')

    assert refused(twice).message == "time: appears twice in one object; send it once"
    assert refused(in_data).message == "data.x: appears twice in one object; send it once"


def test_one_that_is_too_large_is_refused():
    assert refused(raw(note="x" * EVENT_BYTES_MAX)).reason == "too_large"


def test_what_has_a_specversion_is_judged_as_a_cloud_event_and_null_is_none():
    both = published(top={"specversion": "1.0"})
    neither = published(top={"specversion": None})
    near = published(top={"specVersion": "1.0"})

    assert "action: is not known here; did you mean type?" in refused(both).message
    assert accepted(neither).action == "ticket_win"
    assert refused(near).message == "specVersion: is not known here; did you mean specversion?"


def test_a_rejected_one_is_found_by_its_ids():
    by_subject = refused(raw(subject="t-9", data={"operator": "acme", "price": "x"}))
    by_data = refused(raw(subject="t-9"))

    assert (by_subject.operator, by_subject.ticket_id, by_subject.event_id) == (
        "acme",
        "t-9",
        "e-1",
    )
    assert (by_data.operator, by_data.ticket_id, by_data.event_id) == ("acme", "t-1", "e-1")


def test_the_age_limit_names_its_time():
    old = entry(raw(time="2015-03-02T08:27:58Z"))

    (rejected,) = decode_entries([old], event_age_max=timedelta(days=30)).part.unreadable

    assert rejected.reason == "too_old"
    assert rejected.message.startswith("time 2015-03-02T08:27:58Z is more than 30d ago")


def test_a_message_of_kombu_may_be_one():
    timed = cloud_event(time={"__type__": "datetime", "__value__": TIME}, task="an extension")
    fields = {b"event": envelope(timed), b"type": b"CELERY"}

    event = read(replace(entry(b""), fields=fields))

    assert isinstance(event, Event)
    assert same(event) == same(accepted(plain(occurred_at=TIME)))


def test_a_message_of_kombu_that_is_a_wrong_one_is_found_by_its_ids():
    wrong = json.dumps(cloud_event(type="ticket_lose")).encode()
    fields = {b"event": envelope(wrong), b"type": b"CELERY"}

    rejected = read(replace(entry(b""), fields=fields))

    assert not isinstance(rejected, Event)
    assert (rejected.ticket_id, rejected.event_id) == ("t-1", "e-1")
