"""The published schema, the gateway, `--check` and the intake take the same events.

Inputs are made near what is just taken and just refused. What no schema can say (a key twice, size,
depth, age, the decimals that a currency has) is compared without it.
"""

import json
from datetime import timedelta
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from models.events.decode import read
from models.events.event import Entry, Unreadable
from models.events.lottery import lottery_problem
from models.intake.apply import decode_entries
from tests.support import lottery
from tests.support.near_events import (
    ANY,
    DEEP,
    MOMENTS,
    NUMBERS,
    OTHERS,
    STRINGS,
    UNKNOWN_NAMES,
    Text,
    an_object,
    near_events,
    texts,
)
from tests.support.schema_reader import takes
from tests.support.searches import examples
from tests.support.verdicts import AGE_MAX, ENTRY_ID, NOW, check, gateway, intake

EXAMPLES = 400


@settings(max_examples=examples(EXAMPLES), deadline=None, database=None)
@given(near_events())
def test_schema_gateway_check_and_intake_take_the_same_events(raw):
    result = read(Entry(ENTRY_ID, {b"event": raw}))
    by_all = (intake(raw), gateway(raw), check(raw), takes("event.schema.json", json.loads(raw)))

    assert len(set(by_all)) == 1, f"{by_all} {raw!r} {result}"


@settings(max_examples=examples(300), deadline=None, database=None)
@given(near_events(), st.data())
def test_channels_agree_on_keys_that_appear_twice(raw, data):
    assume(intake(raw))
    name = data.draw(st.sampled_from(sorted(json.loads(raw))))
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in name)
    spelled = data.draw(st.sampled_from([json.dumps(name), f'"{escaped}"']))
    twice = raw[:-1] + f",{spelled}:null}}".encode()

    assert (intake(twice), gateway(twice), check(twice)) == (False, False, False)


@settings(max_examples=examples(300), deadline=None, database=None)
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


@settings(max_examples=examples(EXAMPLES), deadline=None, database=None)
@given(near_messages())
def test_schema_channel_and_intake_take_the_same_lottery_messages(raw):
    result = read(lottery.lottery_entry(raw))
    by_all = (
        not isinstance(result, Unreadable),
        lottery.wrong(raw) is None,
        takes("lottery.schema.json", json.loads(raw)),
    )

    assert len(set(by_all)) == 1, f"{by_all} {raw!r} {result}"
