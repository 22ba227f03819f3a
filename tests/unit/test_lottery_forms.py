"""What a lottery message must be like: required is what the page stars (contracts 3.2).

Its forms are as lenient as the vendor's schema and its sample. A refusal says what is wrong, the
same on the stream and to an interface that responds at once.
"""

import json

import pytest

from models.events.decode import read
from models.events.event import Entry, Unreadable
from tests.support.entries import ENTRY_ID
from tests.support.lottery import STARRED, TICKET, accepted, bet, refused, settlement, wrong

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
def test_without_an_operator_nobody_s_ticket_is_opened(fields, message):
    rejected = read(Entry(ENTRY_ID, {b"type": b"LOTTERY_V2", b"event": bet(), **fields}))

    assert isinstance(rejected, Unreadable)
    assert message in rejected.message
    assert rejected.ticket_id == TICKET
