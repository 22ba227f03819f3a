"""Bad input: each ends as a rejected row that says what was wrong, where, and what to do.

Forms and limits are those that producers/PROMISES.md states.
"""

from itertools import permutations

import pytest

from models.events.action_names import unknown_action
from models.events.decode import RAW_BYTES_MAX, read, unreadable
from models.events.event import Entry, Unreadable
from models.events.field_names import is_typo
from models.vocabulary import INBOUND, Reason
from tests.support.entries import ENTRY_ID, HEAD, entry, published, refused, with_data
from tests.support.tickets import SLIP

IDS = "must be 1 to 64 printable characters without spaces"
NORMAL = r"must be in Unicode's form NFC: 'Jos\xe9' (was 'Jose\u0301')"
APART = "Jose\u0301"  # looks like José
# Zero width, directions of writing, a byte order mark, a soft hyphen; and what only looks empty.
UNSEEN = (
    *"\u200b\u200c\u200d\u2060\ufeff\u00ad\u200e\u200f\u202a\u202e\u2066\u2069\u061c\u180e",
    *"\u034f\u115f\u1160\u17b4\u17b5\u180b\u180d\u180f\u2800\u3164\ufe00\ufe0f\uffa0\U000e0100",
)
WORDS = "must be at most 255 printable characters without spaces"
TEXT = "must be text of at most 255 characters, without NUL"
CENTS = "must be a whole number from 0 to 10**15, in the currency's minor unit"
PERCENT = "must be a number from 0 to 1000, in percent"
MOMENT = "must be RFC 3339 with an offset, like 2026-11-20T10:00:00Z"
NUMBER = "must be a whole number: 1, 2, 3 ... per ticket, without gaps"

NOT_AN_EVENT = [
    (b"", "not_json", "not JSON: EOF while parsing a value at line 1 column 0"),
    (b"win", "not_json", "not JSON: expected value at line 1 column 1"),
    (b"{'action': 'ticket_win'}", "not_json", "not JSON: key must be a string at line 1 column 2"),
    (published() + b"}", "not_json", "not JSON: trailing characters at line 1 column 75"),
    (published()[:-1], "not_json", "not JSON: EOF while parsing an object at line 1 column 73"),
    (b"\xef\xbb\xbf" + published(), "not_json", "begins with a byte order mark; remove these"),
    (published().decode().encode("utf-16"), "not_utf8", "it is UTF-16 or UTF-32, by its byte"),
    (published().decode().encode("utf-16-le"), "not_json", "it holds NUL bytes, as UTF-16"),
    (published() + b"\x00", "not_json", "it holds NUL bytes"),
    (
        published() + b"\r" + published(),
        "not_json",
        "its lines end with CR alone; end them with LF",
    ),
    (b'{"action":"ticket_win","data":{"a":"x\xff"}}', "not_utf8", "not UTF-8: byte 37"),
    (published().replace(b"t-1", b"\xc3\x28"), "not_utf8", "(invalid continuation byte)"),
    (published().replace(b"t-1", b"\xed\xa0\x80"), "not_utf8", "not UTF-8: byte 68"),
    (published().replace(b"t-1", b"\\ud800"), "not_json", "not JSON: unexpected end of hex escape"),
    (
        published().replace(b"t-1", b"t\x00"),
        "not_json",
        "control character (\\u0000-\\u001F) found",
    ),
    (published().replace(b"t-1", b"t\n"), "not_json", "control character"),
    (with_data('"x":' + "9" * 5000), "not_json", "not JSON: number out of range at line 1"),
    (b'{"a":' * 5000 + b"1" + b"}" * 5000, "not_json", "nested too deeply at line 1 column 1006"),
    (with_data('"x":' + "[" * 5000 + "]" * 5000), "not_json", "nested too deeply at line 1"),
    (b"x" * 2_000_000, "too_large", "the event has 2000000 bytes; at most 262144 are taken"),
    (b"null", "invalid_event", "the event is not a JSON object"),
    (b"[]", "invalid_event", "the event is not a JSON object"),
    (b'"ticket_win"', "invalid_event", "the event is not a JSON object"),
    (b"{}", "invalid_event", "action: is missing; data: is missing"),
]

WRONG_FIELDS = [
    (b'{"action":"ticket_win"}', "data: is missing"),
    (b'{"action":"ticket_win","data":null}', "data: Input should be an object (was None)"),
    (b'{"action":"ticket_win","data":[]}', "data: Input should be an object (was [])"),
    (b'{"action":"ticket_win","data":{}}', "data.operator: is missing; data.ticket_id: is missing"),
    (b'{"data":{%s}}' % HEAD.encode(), "action: is missing"),
    (published(5), "action: Input should be 'ticket_open', "),
    (published(None), "(was None)"),
    (published(top={"event_id": "e" * 65}), f"event_id: {IDS} (was 'eeee"),
    (published(top={"event_id": ""}), f"event_id: {IDS} (was '')"),
    (published(top={"event_id": 7}), f"event_id: {IDS} (was 7)"),
    (published(top={"event_id": "a b"}), f"event_id: {IDS} (was 'a b')"),
    (published(top={"event_id": "a\n"}), rf"event_id: {IDS} (was 'a\n')"),
    (published(ticket_id="1" * 65), f"data.ticket_id: {IDS} (was '{'1' * 65}')"),
    (published(ticket_id=1330556611374148608), f"data.ticket_id: {IDS} (was 1330556611374148608)"),
    (published(ticket_id=None), f"data.ticket_id: {IDS} (was None)"),
    (published(ticket_id="a\u00a0b"), rf"data.ticket_id: {IDS} (was 'a\xa0b')"),
    (published(ticket_id="a\u200bb"), rf"data.ticket_id: {IDS} (was 'a\u200bb')"),
    (published(ticket_id="a\u0000"), rf"data.ticket_id: {IDS} (was 'a\x00')"),
    *(
        (published(ticket_id=f"a{character}"), f"data.ticket_id: {IDS} (was ")
        for character in UNSEEN
    ),
    (published(ticket_id=APART), f"data.ticket_id: {NORMAL}"),
    (published(operator=APART), f"data.operator: {NORMAL}"),
    (published(ticket_code=APART), f"data.ticket_code: {NORMAL}"),
    (published(top={"event_id": APART}), f"event_id: {NORMAL}"),
    (published(ticket_id="\u212b"), r"NFC: '\xc5' (was '\u212b')"),  # the unit and the letter
    (published(ticket_code="A B"), f"data.ticket_code: {IDS} (was 'A B')"),
    (published(operator=["acme"]), f"data.operator: {IDS} (was ['acme'])"),
    (published(atag="a b"), f"data.atag: {WORDS} (was 'a b')"),
    (published(player_id="p" * 256), f"data.player_id: {WORDS}"),
    (published(psp="a\tb"), rf"data.psp: {WORDS} (was 'a\tb')"),
    (published(price="500"), f"data.price: {CENTS} (was '500')"),
    (published(price=5.5), f"data.price: {CENTS} (was 5.5)"),
    (with_data('"price":1e15001'), f"data.price: {CENTS} (was inf)"),
    (published(stake=-1), f"data.stake: {CENTS} (was -1)"),
    (published(net_payout=10**15 + 1), f"data.net_payout: {CENTS} (was 1000000000000001)"),
    (published(gross_payout=True), f"data.gross_payout: {CENTS} (was True)"),
    (with_data('"price":1e400'), f"data.price: {CENTS} (was inf)"),
    (with_data('"price":' + "9" * 4000), "(4000 characters))"),
    (published(wht="10"), f"data.wht: {PERCENT} (was '10')"),
    (published(ext=-0.5), f"data.ext: {PERCENT} (was -0.5)"),
    (with_data('"wht":NaN'), f"data.wht: {PERCENT} (was nan)"),
    (published(currency="eur"), "data.currency: must be a code of ISO 4217 in capitals, like EUR"),
    (published(currency="EURO"), "(was 'EURO')"),
    (published(reason="r" * 256), f"data.reason: {TEXT} (was 'rrr"),
    (published(correction="true"), "data.correction: Input should be a valid boolean (was 'true')"),
    (published(feature_buy=1), "data.feature_buy: Input should be a valid boolean (was 1)"),
    (published(top={"sequence": 0}), f"sequence: {NUMBER} (was 0)"),
    (published(top={"sequence": "1"}), f"sequence: {NUMBER} (was '1')"),
    (published(top={"sequence": 1.5}), f"sequence: {NUMBER} (was 1.5)"),
    (published(top={"sequence": True}), f"sequence: {NUMBER} (was True)"),
    (published(top={"sequence": 2**31}), f"sequence: {NUMBER} (was 2147483648)"),
    (published(top={"occurred_at": "yesterday"}), f"occurred_at: {MOMENT} (was 'yesterday')"),
    (published(top={"occurred_at": "2026-11-20T10:00:00"}), f"occurred_at: {MOMENT}"),
    (published(top={"occurred_at": 1732094400}), f"occurred_at: {MOMENT} (was 1732094400)"),
    (published(top={"occurred_at": "٢٠٢٦-06-30T10:00:00Z"}), f"occurred_at: {MOMENT} (was '٢٠٢٦"),
    (published(reason="a\u0000b"), f"data.reason: {TEXT} (was 'a"),
    (published(top={"x": "\u0000"}), "x: holds a NUL character; remove it"),
    (b'{"action":"ticket_win","x":1e400,"data":{%s}}' % HEAD.encode(), "x: the number is not fin"),
    (published(shop={"name": ["\u0000"]}), "data.shop.name: holds a NUL character; remove it"),
    (with_data('"a\\u0000":1'), "data: holds a NUL character; remove it"),
    (
        with_data('"x":NaN'),
        "data.x: the number is not finite; unknown fields are kept, but must be",
    ),
    (with_data('"x":-Infinity'), "data.x: the number is not finite"),
    (with_data('"x":[{"y":1e400}]'), "data.x.y: the number is not finite"),
    (with_data('"x":' + "9" * 400 + ".5"), "data.x: the number is not finite"),
    (with_data('"x":' + "9" * 309), "data.x: the number is not finite"),
]

UNKNOWN_ACTIONS = [
    ("ticket_lose", "action 'ticket_lose' is not known; did you mean ticket_lost?"),
    ("ticket_won", "action 'ticket_won' is not known; did you mean ticket_win?"),
    ("TICKET_WIN", "action 'TICKET_WIN' is not known; did you mean ticket_win?"),
    ("ticket_rolback", "action 'ticket_rolback' is not known; did you mean ticket_rollback?"),
    ("Ticket-Los", "action 'Ticket-Los' is not known; did you mean ticket_lost?"),
    ("ticket_lsot", "action 'ticket_lsot' is not known; did you mean ticket_lost?"),
    ("tickets.voidd", "action 'tickets.voidd' is not known; known are: "),
    ("tasks.win", "action 'tasks.win' is not known; did you mean ticket_win?"),
    ("ticket_close", "action 'ticket_close' is not known; ticket_closed is sent by Slipway alone"),
    ("ticket_closed", "ticket_closed is sent by Slipway alone and never accepted"),
    ("", "action '' is not known; known are: ticket_open, "),
    ("zzz", f"action 'zzz' is not known; known are: {', '.join(INBOUND)}"),
    ("x" * 9000, f"action '{'x' * 64}' is not known; known are: "),
    ("a\x00", "action 'a\\x00' is not known; known are: "),
]


# Near to an action by their letters, and far from it in what becomes of the money.
OTHER_MONEY = [
    *("ticket_reopen", "ticket_recreate", "ticket_unpaid", "ticket_payout", "ticket_withdraw"),
    *("ticket_cancel", "ticket_settle", "ticket_resettle", "ticket_revert", "ticket_lost_void"),
    *("ticket_delete", "ticket_return", "ticket_half_win", "ticket_winback", "ticket_unvoid"),
]


@pytest.mark.parametrize("action", OTHER_MONEY)
def test_no_action_is_suggested_that_means_other_money(action):
    assert unknown_action(action) == (
        f"action '{action}' is not known; known are: {', '.join(INBOUND)}"
    )


@pytest.mark.parametrize(
    "action", ["ticket_cashout", "ticket_cash_out", "cashout", "app.tasks.cashOut"]
)
def test_a_cash_out_is_named_as_what_it_is_here(action):
    assert unknown_action(action) == (
        f"action '{action}' is not known; a cash-out is ticket_win with net_payout;"
        f" known are: {', '.join(INBOUND)}"
    )


def test_a_typo_is_at_most_one_letter_and_of_one_action_only():
    letters = "abcdefghijklmnopqrstuvwxyz"
    for known in INBOUND:
        slips = {known[:at] + known[at + 1 :] for at in range(len(known))}
        slips |= {
            known[:at] + letter + known[at:] for letter in letters for at in range(len(known) + 1)
        }
        for slip in slips - {known}:
            message = unknown_action(slip)
            assert f"did you mean {known}?" in message
    for action, other in permutations(INBOUND, 2):
        assert not is_typo(action, other)


@pytest.mark.parametrize(
    ("raw", "reason", "message"), NOT_AN_EVENT, ids=[message for _, _, message in NOT_AN_EVENT]
)
def test_what_is_no_event_is_kept_raw_with_the_reason(raw, reason, message):
    rejected = refused(raw)

    assert rejected.reason == reason
    assert message in rejected.message
    assert rejected.raw == raw
    assert (rejected.entry_id, rejected.kind) == (ENTRY_ID, None)


@pytest.mark.parametrize(
    ("raw", "message"), WRONG_FIELDS, ids=[message[:60] for _, message in WRONG_FIELDS]
)
def test_a_field_that_is_wrong_is_named_with_its_rule_and_what_it_was(raw, message):
    rejected = refused(raw)

    assert rejected.reason is Reason.INVALID_EVENT
    assert message in rejected.message
    assert len(rejected.message) < 1000
    assert rejected.raw == raw


@pytest.mark.parametrize(
    ("action", "message"), UNKNOWN_ACTIONS, ids=[message[:40] for _, message in UNKNOWN_ACTIONS]
)
def test_an_unknown_action_is_answered_with_the_nearest_known(action, message):
    """The message for `ticket_lose` names `ticket_lost`."""
    rejected = refused(published(action))

    assert rejected.reason is Reason.UNKNOWN_ACTION
    assert rejected.message.startswith(message)


@pytest.mark.parametrize("action", ["ticket_create", "ticket_reserve", "ticket_update"])
@pytest.mark.parametrize("missing", SLIP)
def test_a_slip_names_what_it_lacks(action, missing):
    """Contracts 1.4: all listed fields are sent, so they must be known."""
    slip = {name: value for name, value in SLIP.items() if name != missing}

    assert refused(published(action, **slip)).message == f"{action} needs data.{missing}"
    assert refused(published(action, **slip, **{missing: None})).reason == "invalid_event"


@pytest.mark.parametrize("action", ["ticket_create", "ticket_reserve", "ticket_update"])
@pytest.mark.parametrize("empty", ["player_id", "ext_type", "ticket_type"])
def test_an_empty_text_is_missing(action, empty):
    """An empty name is no player to debit."""
    rejected = refused(published(action, **(SLIP | {empty: ""})))

    assert rejected.reason is Reason.INVALID_EVENT
    assert rejected.message == f"{action} needs data.{empty}"


@pytest.mark.parametrize("empty", ["ticket_code", "currency"])
def test_an_empty_id_or_currency_has_no_form(empty):
    assert refused(published("ticket_create", **(SLIP | {empty: ""}))).reason == "invalid_event"


def test_many_problems_are_reported_at_once_and_counted_where_they_are_too_many():
    rejected = refused(
        published(price="a", stake="b", wht="c", ext="d", currency="e", psp=1, rtag=2)
    )

    assert rejected.message.count(" (was ") == 5
    assert rejected.message.endswith("; and 2 more")


@pytest.mark.parametrize(
    ("fields", "reason", "message"),
    [
        (
            {b"evnt": b"{}"},
            "invalid_event",
            "(its fields: 'evnt'); add it as: XADD ticket-events * event '<json>'",
        ),
        ({}, "invalid_event", "(its fields: none)"),
        ({b"\xff" * 900: b""}, "invalid_event", "the entry has no field `event`"),
        (
            {b"type": b"LOTTERY_V9", b"event": b"{}"},
            "unknown_type",
            "type 'LOTTERY_V9' is not known",
        ),
        (
            {b"type": b"\xff\x00", b"event": b"{}"},
            "unknown_type",
            "type '\ufffd\\x00' is not known",
        ),
        ({b"type": b"", b"event": b"{}"}, "unknown_type", "type '' is not known"),
        ({b"Event": b"{}"}, "invalid_event", "field Event: is not known here; did you mean event?"),
        (
            {b"Type": b"LOTTERY_V2", b"event": published()},
            "invalid_event",
            "field Type: is not known here; did you mean type?",
        ),
        (
            {b"type": b"LOTTERY_V2", b"Operator": b"acme", b"event": b"{}"},
            "invalid_event",
            "field Operator: is not known here; did you mean operator?",
        ),
        *(
            (
                {name: b"1", b"event": published()},
                "invalid_event",
                f"is not known here; did you mean {meant} in the JSON of `event`?",
            )
            for name, meant in ((b"event_id", "event_id"), (b"occurredAt", "occurred_at"))
        ),
    ],
)
def test_an_entry_of_another_form_says_how_to_write_one(fields, reason, message):
    rejected = read(Entry(ENTRY_ID, fields))

    assert isinstance(rejected, Unreadable)
    assert rejected.reason == reason
    assert message in rejected.message
    assert len(rejected.message) < 500


def test_an_entry_without_its_field_is_kept_as_its_fields():
    rejected = unreadable(Entry(ENTRY_ID, {b"a": b"1", b"b": b"2"}), Reason.INVALID_EVENT, "why")

    assert rejected.raw == b"a=1\nb=2"


def test_the_ids_that_can_be_made_out_are_kept_for_those_who_search():
    rejected = refused(published("ticket_lose", top={"event_id": "e-1"}))

    assert (rejected.operator, rejected.ticket_id, rejected.event_id) == ("acme", "t-1", "e-1")


@pytest.mark.parametrize("odd", ["x" * 65, "a b", "a\n", "a\x00", "", 5, None, ["a"]])
def test_an_id_that_cannot_be_one_is_not_kept_as_one(odd):
    rejected = refused(published("ticket_lose", top={"event_id": odd}, ticket_id=odd))

    assert (rejected.operator, rejected.ticket_id, rejected.event_id) == ("acme", None, None)


def test_of_a_huge_entry_the_beginning_is_kept():
    raw = b"x" * (RAW_BYTES_MAX + 1)

    rejected = read(entry(raw))

    assert isinstance(rejected, Unreadable)
    assert rejected.raw == raw[:RAW_BYTES_MAX]


def test_a_type_is_kept_in_a_form_the_database_takes():
    rejected = read(Entry(ENTRY_ID, {b"type": b"A\x00" + b"x" * 100, b"event": b"{}"}))

    assert isinstance(rejected, Unreadable)
    assert rejected.kind == "A\ufffd" + "x" * 62
