"""Lottery messages become events, and what such a message must be like (contracts 3.2, 3.4, 5.5).

Required is what the vendor's page stars; the forms are as lenient as its schema and its sample. A
refusal says what is wrong, the same on the stream and to a channel that responds at once.
"""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import from_json

from models.events.decode import read
from models.events.duplicate_keys import find_duplicate_keys
from models.events.event import Entry, Event, Unreadable
from models.events.lottery_format import LINE_NAMES, MESSAGE_NAMES, is_plain
from models.events.messages import check_storable
from models.platform.money import MINOR_DIGITS
from models.vocabulary import Action
from tests.support.entries import ENTRY_ID
from tests.support.lottery import (
    BOUGHT,
    SAMPLE,
    STARRED,
    TICKET,
    accepted,
    bet,
    lottery_entry,
    refused,
    settlement,
    with_amount,
    wrong,
)


def test_a_bet_opens_the_ticket_with_what_a_partner_needs_to_know():
    event = accepted(bet())

    assert (event.action, event.operator, event.ticket_id) == (Action.OPEN, "acme", TICKET)
    assert event.data == {
        "operator": "acme",
        "ticket_id": TICKET,
        "player_id": "52530",
        "price": 400,
        "currency": "EUR",
        "game": "Mega Millions",
        "game_id": "1",
        "lottery": json.loads(bet()),
    }
    assert event.occurred_at == datetime.fromisoformat(BOUGHT)
    assert event.draw == "1"


def test_the_specification_s_sample_is_a_win_of_2400_euros():
    """Its hour has one digit, as printed; its second line won."""
    event = accepted(SAMPLE)

    assert event.action is Action.WIN
    assert event.data == {
        "operator": "acme",
        "ticket_id": "2019020103308257480",
        "net_payout": 240_000,
        "correction": True,
        "lottery": json.loads(SAMPLE),
    }
    assert event.occurred_at == datetime(2015, 3, 2, 2, 27, 58, 721607, tzinfo=UTC)
    assert event.order_time == event.occurred_at


def test_a_settlement_without_a_winning_line_is_a_loss_whatever_its_amount():
    """Contracts 3.4: some send the purchase amount there."""
    event = accepted(settlement(won=False, amount=4.0))

    assert event.action is Action.LOST
    assert event.data.keys() == {"operator", "ticket_id", "correction", "lottery"}
    assert event.is_correction


def test_a_settlement_without_lines_is_a_loss():
    assert accepted(settlement(lines=[])).action is Action.LOST


def test_one_winning_line_among_many_wins():
    lines = [{"line_id": n, "matched_numbers": [], "is_winning_line": n == 3} for n in range(5)]

    assert accepted(settlement(lines=lines)).action is Action.WIN


def test_a_free_win_pays_nothing():
    assert accepted(settlement(amount=0)).data["net_payout"] == 0


@pytest.mark.parametrize(
    ("written", "currency", "cents"),
    [
        ("2400", "EUR", 240_000),
        ("0.07", "EUR", 7),
        ("1.10", "EUR", 110),
        ("4.350", "EUR", 435),
        ("2.4e3", "EUR", 240_000),
        ("1500", "JPY", 1500),
        ("1500.0", "JPY", 1500),
        ("1.234", "KWD", 1234),
        ("9007199254740.93", "EUR", 900_719_925_474_093),
        ("10000000000000.00", "EUR", 10**15),
    ],
)
def test_amounts_become_the_currency_s_minor_unit_exactly(written, currency, cents):
    assert accepted(with_amount(written, currency)).data["net_payout"] == cents


@given(st.integers(0, 10**15), st.sampled_from(sorted(MINOR_DIGITS)))
def test_no_amount_passes_through_a_float(cents, currency):
    decimals = MINOR_DIGITS[currency]
    digits = str(cents).rjust(decimals + 1, "0")
    written = f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits

    assert accepted(with_amount(written, currency)).data["net_payout"] == cents


BESIDE = [
    b'"meta": {"amount": 1.11}, "amount"',
    b'"whatever": ["amount", {"amount" : 1.11}], "amount"',
    b'"meta": {"\\u0061mount": 1.11}, "amount"',
    b'"whatever": "\\"amount\\": 1.11", "amount"',
    b'"whatever": "amount", "amount" \n',
]


@pytest.mark.parametrize("instead", BESIDE, ids=range(len(BESIDE)))
def test_the_amount_is_the_message_s_own_whatever_else_is_called_so(instead):
    raw = with_amount("24.57").replace(b'"amount"', instead)

    assert accepted(raw).data["net_payout"] == 2457


@pytest.mark.parametrize(
    ("written", "currency", "message"),
    [
        ("1.001", "EUR", "amount: EUR has 2 decimals and the amount more; it is not rounded"),
        ("0.1000000000000000055511151231257827", "EUR", "amount: EUR has 2 decimals"),
        ("0.5", "JPY", "amount: JPY has 0 decimals and the amount more"),
        ("10000000000000.01", "EUR", "amount: at most 1000000000000000 in the currency's minor"),
        ("1e300", "EUR", "amount: an amount in EUR is larger than"),
        ("1e400", "EUR", "amount: must be a number from 0, in units of the currency (was inf)"),
        ("9" * 50, "EUR", "amount: not an amount of money: infinite, not a number, or far too"),
        ("-1", "EUR", "amount: must be a number from 0, in units of the currency (was -1)"),
        ("NaN", "EUR", "amount: must be a number from 0"),
        ('"4.0"', "EUR", "amount: must be a number from 0, in units of the currency (was '4.0')"),
        ("true", "EUR", "amount: must be a number from 0"),
        ("1", "EURO", "currency: 'EURO' is not an active currency of ISO 4217; write a code"),
        ("1", "", "currency: '' is not an active currency"),
        ("1.5", "XAU", "currency: 'XAU' is not an active currency"),
    ],
)
def test_an_amount_that_cannot_be_counted_says_why(written, currency, message):
    assert message in refused(with_amount(written, currency)).message


# --- one statement, one event ---


def test_a_repeated_delivery_is_the_same_event_however_it_is_written():
    compact = json.dumps(json.loads(SAMPLE), separators=(",", ":")).encode()
    strict = SAMPLE.replace(b"T8:27", b"T08:27")

    assert {accepted(raw).event_id for raw in (SAMPLE, compact, strict)} == {
        accepted(SAMPLE).event_id
    }


@pytest.mark.parametrize(
    "other",
    [
        settlement(won=False),
        settlement(amount=24.51),
        settlement(timestamp="2024-11-20T09:00:01+00:00"),
        settlement(draw_id="2"),
        settlement(currency="USD"),
        bet(timestamp="2024-11-20T09:00:00+00:00", amount=24.5),
    ],
)
def test_another_statement_is_another_event(other):
    assert accepted(settlement()).event_id != accepted(other).event_id


@settings(max_examples=300)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from([*STARRED, "type", "meta", "draw_numbers", "stranger"]),
)
def test_nothing_in_a_field_is_more_than_refused(value, field):
    raw = json.dumps({**json.loads(settlement()), field: value}).encode()

    result = read(lottery_entry(raw))

    assert isinstance(result, Event) == (wrong(raw) is None)


ODD_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.text(':"\\ab\x00\ud800', max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=4,
)
FIELDS = st.lists(
    st.tuples(
        st.sampled_from(
            ["amount", "lines", "meta", "draw_numbers", "Amount", "numbers", "stranger", "user_id"]
        ),
        ODD_VALUES | st.sampled_from([{}, [], [1], "1", 0]),
    ),
    max_size=3,
)


def text_of(pairs: list[tuple[str, object]]) -> str:
    """Write an object in which a key may appear twice."""
    return f"{{{', '.join(f'{json.dumps(key)}: {json.dumps(value)}' for key, value in pairs)}}}"


@given(kind=st.sampled_from([bet, settlement]), of_message=FIELDS, of_line=FIELDS)
def test_what_passes_as_plain_would_pass_every_check(kind, of_message, of_line):
    """No amount counts of two, no field is misspelt, and nothing cannot be stored."""
    message = json.loads(kind())
    (line,) = message.pop("lines")
    lines = text_of([*line.items(), *of_line])
    raw = f'{text_of([*message.items(), *of_message])[:-1]}, "lines": [{lines}]}}'.encode()

    if wrong(raw) is None and is_plain(raw, document := from_json(raw)):
        assert find_duplicate_keys(raw) == []
        assert not MESSAGE_NAMES.near_misses(document)
        assert not [name for line in document["lines"] for name in LINE_NAMES.near_misses(line)]
        check_storable(document, "message")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"09:00:00", b"09\\u003a00:00", "amount: appears twice in one object; send it once"),
        (b'"line_id"', b'"numbers": [NaN], "line_id"', "the number is not finite"),
    ],
    ids=["a colon is escaped", "a field of the other kind"],
)
def test_what_hides_from_the_quick_check_is_found(old, new, message):
    raw = settlement().replace(old, new, 1)
    if b"u003a" in new:
        raw = raw.replace(b'"amount"', b'"amount": 1, "amount"')

    assert message in refused(raw).message


def test_most_messages_are_plain():
    for raw in (bet(), settlement(), settlement(won=False), SAMPLE):
        assert is_plain(raw, json.loads(raw))


# --- the forms of a message -----------------------------------------------------------------------

MOMENT = "must be RFC 3339 with an offset, like 2026-11-20T10:00:00Z"


@pytest.mark.parametrize("field", STARRED)
@pytest.mark.parametrize("kind", [bet, settlement])
def test_what_the_page_stars_is_required(kind, field):
    assert refused(kind(**{field: ...})).message == f"{field}: is missing"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (bet(lines=[{"line_id": 1}]), "lines.0.numbers: is missing"),
        (bet(lines=[{"numbers": [1]}]), "lines.0.line_id: is missing"),
        (settlement(lines=[{"line_id": 1, "is_winning_line": True}]), "lines.0.matched_numbers: "),
        (settlement(lines=[{"line_id": 1, "matched_numbers": []}]), "lines.0.is_winning_line: is"),
        (settlement(type=...), "type: is missing"),
        (settlement(type="settlement"), "type: must be Bet or Settlement (was 'settlement')"),
        (settlement(ticket_id="668ef666333180bba97f0c93"), "ticket_id: must be text of 1 to 64 di"),
        (settlement(ticket_id=2019), "ticket_id: must be text of 1 to 64 digits (was 2019)"),
        (settlement(ticket_id="1" * 65), "ticket_id: must be text of 1 to 64 digits"),
        (settlement(draw_id=""), "draw_id: must be text of 1 to 64 digits (was '')"),
        (settlement(draw_id="\u0663"), "draw_id: must be text of 1 to 64 digits"),
        (settlement(lottery_id="EuroJackpot"), "lottery_id: must be text of 1 to 255 digits"),
        (
            settlement(user_id=""),
            "user_id: must be text of 1 to 255 characters, without NUL",
        ),
        (settlement(timestamp="2024-11-20T09:00:00"), f"timestamp: {MOMENT}"),
        (settlement(timestamp="2024-11-20"), f"timestamp: {MOMENT} (was '2024-11-20')"),
        (settlement(timestamp=1732093200), f"timestamp: {MOMENT} (was 1732093200)"),
        (
            settlement(timestamp="2024-02-30T09:00:00Z"),
            "timestamp: there is no day 30: 2024-02 has",
        ),
        (settlement(draw_date="2024-11-20T25:00:00Z"), "draw_date: hour 25 does not exist"),
        (settlement(exchange_rate=-1), "exchange_rate: "),
        (settlement(draw_numbers=["1"]), "draw_numbers.0: Input should be a valid number"),
        (settlement(lines={}), "lines: Input should be an array (was {})"),
        (settlement(meta=[]), "meta: Input should be an object (was [])"),
        (settlement(lottery_name="x" * 256), "lottery_name: "),
        (
            settlement(origin="\u0000"),
            "origin: must be text of at most 255 characters, without NUL",
        ),
        (settlement(meta={"x": "\u0000"}), "message.meta.x: holds a NUL character; remove it"),
        (b"[]", "the message is not a JSON object"),
        (b"{", "not JSON: EOF while parsing an object"),
        (b'{"a":"\xff"}', "the message is not UTF-8: byte 6"),
        (b"[" * 9999, "nested too deeply"),
        (b" " * 300_000, "the message has 300000 bytes; at most 262144 are taken"),
    ],
)
def test_a_message_of_another_form_says_what_is_wrong(raw, message):
    rejected = refused(raw)

    assert message in rejected.message
    assert (rejected.raw, rejected.kind) == (raw, "LOTTERY_V2")
    assert (rejected.whole, rejected.operator) == (True, "acme")
    refusal = wrong(raw)
    assert refusal is not None
    assert (refusal.reason, str(refusal)) == (rejected.reason, rejected.message)


@pytest.mark.parametrize(
    "raw",
    [
        settlement(lottery_type="Keno", device_type="Toaster", bonus_code="B", meta=None),
        settlement(draw_numbers=[1, 2.5], draw_special_numbers=None, skip_publishing=False),
        settlement(lines=[{"line_id": 1.5, "matched_numbers": [], "is_winning_line": False}]),
        settlement(ticket_id="0" * 64, whatever={"deep": [None]}),
        settlement(timestamp="2024-11-20T9:00:00,5+05:30", draw_date="2024-11-20 09:00:00Z"),
        settlement(user_id="Jane Doe", origin="", lottery_name=""),
        bet(discount_amount=0.5, device_type="App", meta={"campaign": 7}),
    ],
)
def test_what_the_schema_allows_is_taken_and_kept(raw):
    assert accepted(raw).data["lottery"] == json.loads(raw)
    assert wrong(raw) is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "the entry has no field `operator`: add the operator whose lottery it is"),
        ({b"operator": b""}, "the entry's field `operator` must be 1 to 64 printable characters"),
        ({b"operator": b"a b"}, "characters without spaces (was 'a b')"),
        ({b"operator": b"\xff"}, "characters without spaces"),
        ({b"operator": "Jose\u0301".encode()}, "must be in Unicode's form NFC"),
    ],
)
def test_without_an_operator_no_ticket_is_opened(fields, message):
    rejected = read(Entry(ENTRY_ID, {b"type": b"LOTTERY_V2", b"event": bet(), **fields}))

    assert isinstance(rejected, Unreadable)
    assert message in rejected.message
    assert rejected.ticket_id == TICKET
