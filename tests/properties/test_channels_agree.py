"""The published schema, the gateway, `--check` and the intake take the same events.

Inputs are made near what is just taken and just refused. What no schema can say (a key twice, size,
depth, age, the decimals that a currency has) is compared without it.
"""

import json
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from models.events.decode import read
from models.events.event import Entry, Unreadable
from models.events.format import DATA_NAMES, EVENT_NAMES
from models.events.lottery import lottery_problem
from models.intake.apply import decode_entries
from models.vocabulary import INBOUND
from producers.gateway.event_validation import ValidEvent, validate_event
from tests.support import lottery
from tests.support.harness import SLIP
from tests.support.schema_reader import takes
from worker.cli.publish.event_lines import EventLine, lines_of
from worker.cli.publish.validation import problem_with

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
AGE_MAX = timedelta(days=30)
ENTRY_ID = f"{int(NOW.timestamp() * 1000)}-0"
EXAMPLES = 400

Text = str  # JSON text


def intake(raw: bytes) -> bool:
    opened = decode_entries([Entry(ENTRY_ID, {b"event": raw})], event_age_max=AGE_MAX)
    return len(opened.part.events) == 1


def gateway(raw: bytes) -> bool:
    return isinstance(validate_event(raw, now=lambda: NOW, age_max=AGE_MAX), ValidEvent)


def check(raw: bytes) -> bool:
    (line,) = lines_of(BytesIO(raw))
    return isinstance(line, EventLine) and problem_with(line, now=NOW, age_max=AGE_MAX) is None


# --- what is near ---------------------------------------------------------------------------------


def texts(*values: object) -> st.SearchStrategy[Text]:
    return st.sampled_from([json.dumps(value) for value in values])


NUMBERS = st.sampled_from(
    [
        *("0", "-0", "1", "500", "500.0", "5e2", "5E+2", "500.5", "-1", "-0.0", "1e15", "1E16"),
        *("1000000000000000", "1000000000000001", "2147483647", "2147483648", "2147483647.0"),
        *("12.5", "1000", "1000.5", "1e400", "-1e400", "1e308", "9" * 308, "9" * 309, "1e-400"),
        "0.1e1",
    ]
)
STRINGS = texts(
    *(
        "",
        "a",
        "a b",
        "a\u00a0b",
        "a\u200b",
        "a\ufe0f",
        "a\u2800",
        "a\u0000",
        "\u0000",
        "a\n",
        "\u00e9",
        "\U0001f4b6",
    ),
    *("x" * 64, "x" * 65, "\U0001f4b6" * 64, "\U0001f4b6" * 65, "x" * 255, "x" * 256),
    *("EUR", "eur", "EURO", "EUR\n", "\u0395UR", "\ud800", "500", "true"),
)
OTHERS = st.sampled_from(["null", "true", "false", "[]", "{}", '[1,"a"]', '{"eventId":1}'])
MOMENTS = texts(
    *("2026-11-20T10:00:00Z", "2026-11-20 10:00:00,5z", "2026-11-20T9:00Z", "2026-11-20T10:00:00"),
    *("2026-11-20T25:61:99Z", "2026-11-31T10:00:00Z", "2026-11-20T24:00:00Z", "2026-11-20T10Z"),
    *("2026-11-20T10:00:00+23:59", "2026-11-20T10:00:00+24:00", "2026-11-20T10:00:60Z"),
    *("2030-02-29T10:00:00Z", "2032-02-29T10:00:00Z", "9999-12-31T23:59:59-14:00"),
    *("\u0662026-11-20T10:00:00Z", "2026-11-20T10:00:00Z\n", f"2026-11-20T10:00:00.{'1' * 99}Z"),
)
ANY = NUMBERS | STRINGS | OTHERS | MOMENTS
DEEP = st.recursive(
    ANY,
    lambda inner: (
        st.lists(inner, max_size=2).map(lambda parts: f"[{','.join(parts)}]")
        | st.tuples(STRINGS, inner).map(lambda pair: f"{{{pair[0]}:{pair[1]}}}")
    ),
    max_leaves=3,
)
UNKNOWN_NAMES = texts("shop", "\u0000", "\ud800", "", "Event", "meta", "\u00e9", "x" * 300)
NEAR = texts(
    *("eventId", "EVENT_ID", "occurredAt", "Sequence", "netPayout", "NetPayout", "_data", "Data"),
    *(
        "net-payout",
        "net\u200bpayout",
        "ticket\u0131d",
        "game.id",
        "EXT",
        "@correction",
        "event_ids",
    ),
)
WORDS = ("player_id", "psp", "ext_type", "atag", "rtag", "ticket_type", "reason", "game")
CENTS = ("price", "stake", "wht_amount", "ext_amount", "gross_payout", "net_payout")
FACTS: dict[str, st.SearchStrategy[Text]] = {
    **dict.fromkeys(("operator", "ticket_id", "ticket_code"), STRINGS),
    **dict.fromkeys((*WORDS, "game_id", "currency"), STRINGS),
    **dict.fromkeys((*CENTS, "wht", "ext"), NUMBERS),
    **dict.fromkeys(("feature_buy", "correction"), OTHERS),
}
HEAD: dict[str, st.SearchStrategy[Text]] = {
    "event_id": STRINGS,
    "occurred_at": MOMENTS,
    "action": texts(*INBOUND, "ticket_closed", "ticket_lose"),
    "sequence": NUMBERS,
}
FINE: dict[str, Text] = {
    name: json.dumps(value)
    for name, value in (*SLIP.items(), ("operator", "acme"), ("ticket_id", "7"))
}


def an_object(pairs: dict[Text, Text]) -> Text:
    return f"{{{','.join(f'{name}:{value}' for name, value in pairs.items())}}}"


@st.composite
def near_events(draw: st.DrawFn) -> bytes:
    """An event that is fine but for one or two fields."""
    data = {json.dumps(name): value for name, value in FINE.items()}
    top: dict[Text, Text] = {'"action"': draw(texts(*INBOUND))}
    for _ in range(draw(st.integers(0, 2))):
        match draw(st.integers(0, 5)):
            case 0:
                name = draw(st.sampled_from(sorted(FACTS)))
                data[json.dumps(name)] = draw(FACTS[name] | ANY)
            case 1:
                name = draw(st.sampled_from(sorted(HEAD)))
                top[json.dumps(name)] = draw(HEAD[name] | ANY)
            case 2:
                data.pop(draw(st.sampled_from(sorted(data))))
            case 3:
                data[draw(UNKNOWN_NAMES | NEAR)] = draw(DEEP)
            case 4:
                top[draw(UNKNOWN_NAMES | NEAR)] = draw(DEEP)
            case _:
                known = texts(*sorted(EVENT_NAMES.known | DATA_NAMES.known))
                draw(st.sampled_from([data, top]))[draw(known)] = draw(ANY)
    if draw(st.integers(0, 9)):
        top['"data"'] = an_object(data)
    return an_object(top).encode()


@settings(max_examples=EXAMPLES, deadline=None, database=None)
@given(near_events())
def test_schema_gateway_check_and_intake_take_the_same_events(raw):
    result = read(Entry(ENTRY_ID, {b"event": raw}))
    by_all = (intake(raw), gateway(raw), check(raw), takes("event.schema.json", json.loads(raw)))

    assert len(set(by_all)) == 1, f"{by_all} {raw!r} {result}"


@settings(max_examples=300, deadline=None, database=None)
@given(near_events(), st.data())
def test_channels_agree_on_keys_that_appear_twice(raw, data):
    assume(intake(raw))
    name = data.draw(st.sampled_from(sorted(json.loads(raw))))
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in name)
    spelled = data.draw(st.sampled_from([json.dumps(name), f'"{escaped}"']))
    twice = raw[:-1] + f",{spelled}:null}}".encode()

    assert (intake(twice), gateway(twice), check(twice)) == (False, False, False)


@settings(max_examples=300, deadline=None, database=None)
@given(st.timedeltas(timedelta(days=29, hours=23, minutes=58), AGE_MAX + timedelta(minutes=1)))
def test_what_a_channel_takes_is_not_too_old_a_moment_later(age):
    happened = (NOW - age).isoformat()
    event = {"event_id": "1", "occurred_at": happened, "action": "ticket_lost"}
    raw = json.dumps(event | {"data": {"operator": "acme", "ticket_id": "7"}}).encode()
    message = lottery.settlement(timestamp=happened)
    later = Entry(f"{int((NOW + timedelta(seconds=59)).timestamp() * 1000)}-0", {b"event": raw})

    channels = (
        gateway(raw),
        check(raw),
        lottery_problem(message, now=NOW, age_max=AGE_MAX) is None,
    )

    assert len(set(channels)) == 1
    taken = bool(decode_entries([later], event_age_max=AGE_MAX).part.events)
    assert taken or not channels[0]
    if age > AGE_MAX:
        assert not channels[0]


# --- lottery --------------------------------------------------------------------------------------

MESSAGE: dict[str, st.SearchStrategy[Text]] = {
    **dict.fromkeys(
        ("ticket_id", "lottery_id", "draw_id"), texts("1", "", "x", "\u0663", "1" * 65)
    ),
    **dict.fromkeys(("lottery_name", "lottery_type", "origin", "user_id", "bonus_code"), STRINGS),
    **dict.fromkeys(("device_type",), STRINGS),
    "currency": texts("EUR", "JPY", "eur", "XXX", "BHD", ""),
    "amount": st.sampled_from(["0", "4", "4.0", "24e1", "-1", "1e400", "true"]),
    **dict.fromkeys(("exchange_rate", "discount_amount"), NUMBERS),
    **dict.fromkeys(("draw_numbers", "draw_special_numbers"), DEEP),
    **dict.fromkeys(("timestamp", "draw_date"), MOMENTS),
    "type": texts("Bet", "Settlement", "settlement", "Refund"),
    "lines": DEEP,
    "meta": DEEP,
    "skip_publishing": OTHERS,
}
LINE: dict[str, st.SearchStrategy[Text]] = {
    "line_id": NUMBERS,
    **dict.fromkeys(("numbers", "matched_numbers", "special_numbers"), DEEP),
    **dict.fromkeys(("is_winning_line", "is_free_bet", "is_quick_pick"), OTHERS),
    "meta": DEEP,
}
NEAR_LOTTERY = texts("ticketId", "Amount", "drawId", "isWinningLine", "LINE_ID", "Meta", "game")


def members_of(document: dict[str, Any]) -> dict[Text, Text]:
    return {json.dumps(name): json.dumps(value) for name, value in document.items()}


@st.composite
def near_messages(draw: st.DrawFn) -> bytes:
    """A lottery message that is fine but for one or two fields."""
    made = draw(st.sampled_from([lottery.bet(amount=4), lottery.settlement(amount=24)]))
    plain = json.loads(made)
    line = members_of(plain["lines"][0])
    message = members_of(plain)
    changed = draw(st.lists(st.integers(0, 4), max_size=2))
    for kind in changed:
        match kind:
            case 0:
                name = draw(st.sampled_from(sorted(MESSAGE)))
                other = STRINGS | OTHERS if name == "amount" else ANY  # its decimals: by currency
                message[json.dumps(name)] = draw(MESSAGE[name] | other)
            case 1:
                message.pop(draw(st.sampled_from(sorted(message))))
            case 2:
                message[draw(UNKNOWN_NAMES | NEAR_LOTTERY)] = draw(DEEP)
            case 3:
                name = draw(st.sampled_from(sorted(LINE)))
                line[json.dumps(name)] = draw(LINE[name] | ANY)
            case _:
                line[draw(UNKNOWN_NAMES | NEAR_LOTTERY)] = draw(DEEP)
    if {3, 4} & set(changed) and '"lines"' in message:
        message['"lines"'] = f"[{an_object(line)}]"
    return an_object(message).encode()


@settings(max_examples=EXAMPLES, deadline=None, database=None)
@given(near_messages())
def test_schema_channel_and_intake_take_the_same_lottery_messages(raw):
    result = read(lottery.lottery_entry(raw))
    by_all = (
        not isinstance(result, Unreadable),
        lottery.wrong(raw) is None,
        takes("lottery.schema.json", json.loads(raw)),
    )

    assert len(set(by_all)) == 1, f"{by_all} {raw!r} {result}"
