"""Hypothesis strategies for events near what is just taken and just refused."""

import json

from hypothesis import strategies as st

from models.events.format import DATA_NAMES, EVENT_NAMES
from models.vocabulary import INBOUND
from tests.support.harness import SLIP

Text = str  # JSON text


def texts(*values: object) -> st.SearchStrategy[Text]:
    """Return one of *values*, as JSON."""
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
    """Return the object of these names and values, each as JSON."""
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
