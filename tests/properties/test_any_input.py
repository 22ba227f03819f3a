"""Tens of thousands of malformed events: the parser never raises, and says of each what it is."""

import json
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from models.events.decode import read
from models.events.event import Entry, Event, Unreadable
from models.vocabulary import INBOUND, Reason
from tests.support.searches import examples

VARIANTS = 100  # of each document Hypothesis thinks of
DOCUMENTS = 1_000
ODD_BYTES = (
    b"\x00",
    b"\xff",
    b"\\",
    b'"',
    b"{",
    b"}",
    b"[",
    b"1e999",
    b"\\u0000",
    b"\\ud800",
    b"-",
)

odd = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70)
values = st.recursive(
    odd, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner)
)
facts = st.dictionaries(
    st.sampled_from(("operator", "ticket_id", "price", "wht", "currency", "reason", "correction"))
    | st.text(max_size=10),
    values,
    max_size=6,
)
documents = st.fixed_dictionaries(
    {},
    optional={
        "action": st.sampled_from(INBOUND) | values,
        "data": st.just({"operator": "acme", "ticket_id": "1"}) | facts | values,
        "event_id": values,
        "occurred_at": st.datetimes().map(str) | values,
        "sequence": values,
    },
)
cloud_events = st.fixed_dictionaries(
    {"specversion": st.just("1.0") | values},
    optional={
        "id": st.just("e") | values,
        "source": st.just("s") | values,
        "type": st.sampled_from(INBOUND) | values,
        "data": st.just({"operator": "acme", "ticket_id": "1"}) | facts | values,
        "subject": st.just("1") | values,
        "time": st.datetimes().map(str) | values,
        "sequence": values,
        "datacontenttype": values,
        "data_base64": values,
    },
)


def variants(document: dict[str, Any], rng: Random) -> list[bytes]:
    """The document's text, and the same cut, doubled, and with bytes changed."""
    text = json.dumps(document).encode("utf-8", "surrogatepass")
    made = [text]
    for _ in range(VARIANTS - 1):
        place = rng.randrange(len(text) + 1)
        until = min(len(text), place + rng.randrange(6))
        made.append(text[:place] + rng.choice((b"", text, *ODD_BYTES)) + text[until:])
    return made


@settings(max_examples=examples(DOCUMENTS), database=None)
@given(documents | cloud_events, st.integers(0, 2**32))
def test_whatever_comes_is_an_event_or_says_why_not(document, seed):
    for raw in variants(document, Random(seed)):  # noqa: S311 - invented noise
        result = read(Entry("1795158604405-7", {b"event": raw}))

        assert isinstance(result, Event | Unreadable)
        if isinstance(result, Unreadable):
            assert result.reason in set(Reason)
            assert result.message
            assert result.raw == raw
