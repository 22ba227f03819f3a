"""Decoding a stream entry into an event: what is accepted, and how it is read.

What is refused, and in which words: `test_reading_bad_input.py`.
"""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from unicodedata import is_normalized

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.events.amounts import amounts_of
from models.events.decode import read
from models.events.event import Entry, Event, Unreadable
from models.events.stream_contract import EVENT_BYTES_MAX
from models.platform.timestamps import entry_id_time
from models.vocabulary import INBOUND
from tests.support.entries import ENTRY_ID, accepted, entry, published, refused, with_data
from tests.support.envelopes import task
from tests.support.lottery import settlement
from tests.support.tickets import SLIP

ENTERED = datetime(2024, 11, 20, 9, 20, tzinfo=UTC)


def test_the_smallest_event_of_the_stream_is_read():
    """What a publisher in another language sends with `XADD`."""
    raw = b"""{"event_id":"7f","occurred_at":"2024-11-20T09:00:00Z","action":"ticket_win",
   "data":{"operator":"operator-code","ticket_id":"1330556611374148608"}}"""

    assert read(entry(raw)) == Event(
        event_id="7f",
        action=INBOUND[6],
        operator="operator-code",
        ticket_id="1330556611374148608",
        data={"operator": "operator-code", "ticket_id": "1330556611374148608"},
        occurred_at=datetime(2024, 11, 20, 9, tzinfo=UTC),
        order_time=datetime(2024, 11, 20, 9, tzinfo=UTC),
        received_at=ENTERED,
        sequence=None,
        entry_id=ENTRY_ID,
        entry=entry(raw),
    )


def test_the_partner_s_own_sample_is_an_event():
    """Issue text: without `event_id` and `occurred_at` it is the partner's sample request."""
    result = accepted(published())

    assert result.event_id == f"stream:{ENTRY_ID}"
    assert result.occurred_at is None
    assert result.order_time == result.received_at == ENTERED


@pytest.mark.parametrize("action", INBOUND)
def test_every_inbound_action_is_read(action):
    assert accepted(published(action, **SLIP)).action is action


def test_a_time_with_an_offset_is_understood_in_utc():
    """What forms it may have: `test_timestamps.py`."""
    result = accepted(published(top={"occurred_at": "2024-11-20T15:00:00+06:00"}))

    assert result.occurred_at == result.order_time == datetime(2024, 11, 20, 9, tzinfo=UTC)


def test_an_event_is_never_later_than_its_entry():
    """Rule 3: order time = min(occurred_at, the entry's own time)."""
    result = accepted(published(top={"occurred_at": "2035-01-01T00:00:00Z"}))

    assert result.order_time == ENTERED
    assert result.occurred_at == datetime(2035, 1, 1, tzinfo=UTC)


def test_unknown_fields_are_kept_and_do_no_harm():
    """They are kept in the log, never sent on, and no error."""
    unknown_fields: dict[str, Any] = {"shop": "12", "nested": {"deep": [1, 2.5, None, {"ä": "☃"}]}}

    result = accepted(published(top={"version": 3, "trace": "x"}, **unknown_fields))

    assert result.data == {"operator": "acme", "ticket_id": "t-1"} | unknown_fields


def test_null_is_a_value_not_given():
    top = {"event_id": None, "occurred_at": None, "sequence": None}

    result = accepted(published(top=top, price=None, psp=None, correction=None))

    assert result.event_id == f"stream:{ENTRY_ID}"
    assert result.sequence is None
    assert not result.is_correction


@pytest.mark.parametrize("optional", ["psp", "atag", "rtag"])
def test_a_slip_may_lack_its_tags_and_payment_provider(optional):
    """Contracts 1.3, 1.4: sent as null."""
    assert accepted(published("ticket_reserve", **SLIP, **{optional: None})).data[optional] is None


def test_numbers_keep_the_form_they_came_in():
    """Contracts 5.1: `10` or `10.0`; what is signed are the bytes sent."""
    result = accepted(with_data('"wht":10.0,"ext":10,"price":1000000000000000'))

    assert json.dumps([result.data[name] for name in ("wht", "ext", "price")]) == (
        "[10.0, 10, 1000000000000000]"
    )


@pytest.mark.parametrize("written", ["500", "500.0", "5e2", "5E+2", "0.5e3"])
def test_money_is_a_whole_number_however_it_is_written(written):
    """As JSON Schema has it; JSON knows one kind of number."""
    price = accepted(with_data(f'"price":{written}')).data["price"]

    assert (price, type(price)) == (500, int)


def test_a_sequence_may_be_written_with_a_point():
    number = accepted(published(top={"sequence": 3.0})).sequence

    assert (number, type(number)) == (3, int)


@pytest.mark.parametrize(
    "name",
    ["a", "x" * 64, "ü-é-漢", "0", "stream:1-1", "a/b\\c\"'", "💶", "\u0301"],
)
def test_an_id_is_1_to_64_printable_characters(name):
    result = accepted(published(top={"event_id": name}, ticket_id=name, operator=name))

    assert (result.event_id, result.ticket_id, result.operator) == (name, name, name)


def test_an_event_may_have_256_kib():
    room = EVENT_BYTES_MAX - len(published(note=""))

    assert EVENT_BYTES_MAX == 256 * 1024
    assert accepted(published(note="x" * room)).data["note"] == "x" * room
    assert refused(published(note="x" * (room + 1))).reason == "too_large"


@pytest.mark.parametrize("sequence", [1, 2**31 - 1])
def test_a_number_is_kept(sequence):
    assert accepted(published(top={"sequence": sequence})).sequence == sequence


def test_an_entry_s_id_tells_its_time():
    assert entry_id_time("1732094400123-9") == ENTERED + timedelta(milliseconds=123)


@pytest.mark.parametrize("entry_id", ["99999999999999999-0", f"{2**64 - 1}-{2**64 - 1}"])
def test_an_entry_whose_id_lies_beyond_all_dates_is_read(entry_id):
    """XADD takes any id, for instance nanoseconds; one such entry must not stop the intake."""
    result = accepted(published(), entry_id=entry_id)
    assert result.received_at.year == 9999
    assert (result.received_at + timedelta(days=300)).year == 9999

    assert refused(b"", entry_id=entry_id).received_at.year == 9999


@pytest.mark.parametrize(
    ("data", "amounts"),
    [
        ({}, None),
        ({"shop": "12"}, None),
        ({"net_payout": None}, None),
        ({"net_payout": 0}, {"net_payout": 0}),
        ({"price": 1, "ext_type": "inclusive", "shop": "2"}, {"price": 1, "ext_type": "inclusive"}),
    ],
)
def test_the_amounts_of_a_result_are_its_money(data, amounts):
    """H5."""
    assert amounts_of({"operator": "acme", "ticket_id": "t-1", **data}) == amounts


# --- whatever comes -------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
FIELDS = st.sampled_from(["event_id", "occurred_at", "action", "sequence", "data", "x"])
FACTS = st.sampled_from(["operator", "ticket_id", "price", "wht", "reason", "correction", "y"])


def read_raw(raw: bytes) -> Event | Unreadable:
    """Read *raw*; whatever comes of it can be stored and says what was wrong."""
    result = read(entry(raw))
    if isinstance(result, Event):
        stored = json.dumps(result.data, allow_nan=False)
        assert "\\u0000" not in stored.replace("\\\\", ""), "jsonb takes no NUL"
    else:
        assert result.message
        assert "\x00" not in result.message
        assert result.raw == raw
        assert result.received_at == ENTERED
    return result


@given(st.binary())
@example(b"\x00" * 100)
@example(b"{" * 100_000)
@example(b"[" * 100_000)
@example(b'"' + b"\\" * 1001)
def test_arbitrary_bytes_never_raise(raw):
    read_raw(raw)


@given(JSON)
def test_arbitrary_json_never_raises(document):
    read_raw(json.dumps(document).encode("utf-8", "surrogatepass"))


@given(st.dictionaries(FIELDS, JSON), st.dictionaries(FACTS, JSON))
def test_json_that_almost_is_an_event_never_raises(document, data):
    head = {"action": "ticket_win", "data": {"operator": "acme", "ticket_id": "t", **data}}
    for candidate in (head, {**head, **document}, {**document, "data": data}):
        read_raw(json.dumps(candidate).encode("utf-8", "surrogatepass"))


@given(st.dictionaries(st.binary(), st.binary(), max_size=3))
def test_arbitrary_fields_never_raise(fields):
    result = read(Entry(ENTRY_ID, fields))

    assert isinstance(result, Unreadable)


UNSEEN = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0" + "".join(
    map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)))
)
SEEN = st.characters(exclude_categories=["C", "Z"], exclude_characters=UNSEEN)
IDS = st.text(SEEN, min_size=1, max_size=64).filter(lambda text: is_normalized("NFC", text))
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(
    event_id=IDS,
    ticket_id=IDS,
    action=st.sampled_from(INBOUND),
    moment=st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=OFFSETS),  # noqa: DTZ001 - Hypothesis asks for naive bounds
    sequence=st.none() | st.integers(1, 2**31 - 1),
    note=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=255),
)
def test_a_valid_event_survives(event_id, ticket_id, action, moment, sequence, note):
    top = {"event_id": event_id, "occurred_at": moment.isoformat(), "sequence": sequence}

    result = accepted(
        published(action, top=top, **{**SLIP, "ticket_id": ticket_id, "reason": note})
    )

    assert (result.event_id, result.ticket_id, result.action) == (event_id, ticket_id, action)
    assert (result.occurred_at, result.sequence) == (moment, sequence)
    assert result.order_time == min(moment, ENTERED)
    assert result.data == {"operator": "acme", **SLIP, "ticket_id": ticket_id, "reason": note}


@pytest.mark.parametrize(
    ("kind", "raw"),
    [(None, published()), (b"CELERY", task()), (b"LOTTERY_V2", settlement()), (b"TELEX", b"")],
    ids=str,
)
@pytest.mark.parametrize("entry_id", ["1900000000000-0", f"{2**64 - 1}-0"])
def test_whatever_its_id_claims_an_entry_was_received_when_it_was_read(kind, raw, entry_id):
    """Through every channel, and also what cannot be read (rule 3)."""
    fields = {b"event": raw, b"operator": b"acme", **({} if kind is None else {b"type": kind})}
    read_at = datetime(2029, 1, 1, tzinfo=UTC)
    seen_at = read_at - timedelta(seconds=3)

    result = read(Entry(entry_id, fields, read_at=read_at))
    seen = read(Entry(entry_id, fields, read_at=read_at, seen_at=seen_at))

    assert (result.received_at, seen.received_at) == (read_at, seen_at)
    if isinstance(result, Event):
        assert result.order_time <= read_at
        assert (result.lag, seen.lag if isinstance(seen, Event) else None) == (
            timedelta(),
            timedelta(seconds=3),
        )


def test_other_fields_of_an_entry_are_not_looked_at():
    """Tracing adds some of its own."""
    fields = {b"event": published(), b"traceparent": b"00-1", b"\xff": b"", b"operator": b"acme"}

    assert isinstance(read(Entry(ENTRY_ID, fields)), Event)
