"""What an event says and its ticket keeps as well is kept once, and read whole again."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.events.kept_once import kept_once, whole_data
from models.vocabulary import LeftToTicket
from tests.support.searches import examples

OURS = {"operator": "acme", "ticket_id": "T"}
NAMES = st.sampled_from(["price", "wht", "meta", "é", "reason", "nickname", "~"])
# Whatever is equal to Python and not to JSON: 1, 1.0 and true; 0 and false.
VALUES = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 1.0, 12.5, 10**15, "", "1", "☃"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=5)
KEYS = st.fixed_dictionaries(
    {"operator": st.sampled_from(["acme", "beta"]), "ticket_id": st.sampled_from(["T", "U"])}
)


def stored(value: dict[str, Any]) -> object:
    """As a jsonb returns it."""
    return json.loads(json.dumps(value))


def exact(value: object) -> str:
    return json.dumps(value, sort_keys=True)


@settings(max_examples=examples(600))
@given(OBJECTS, KEYS, st.sets(NAMES), OBJECTS)
def test_whatever_an_event_and_its_ticket_say_the_data_is_read_as_it_was(data, key, shared, others):
    whole = {**data, **key}
    own = {name: value for name, value in data.items() if name in shared}
    for details in (own, others, {**own, **others}, data, {}):
        kept = kept_once(whole, operator="acme", ticket_id="T", details=details)
        read = whole_data(
            stored(kept.data),
            kept.left_out,
            operator="acme",
            ticket_id="T",
            details=stored(details),
        )

        assert exact(read) == exact(whole)
        if kept.left_out is LeftToTicket.DETAILS:
            assert not kept.data.keys() & details.keys(), "an erasure keeps the same of both"


def test_the_event_that_made_its_ticket_keeps_what_the_ticket_lacks():
    own: dict[str, Any] = {"price": 500, "meta": {"a": 1}}
    data = {**OURS, **own, "reason": "late", "stake": None}

    kept = kept_once(data, operator="acme", ticket_id="T", details=own)

    assert kept == ({"reason": "late", "stake": None}, LeftToTicket.DETAILS)


@pytest.mark.parametrize(
    "details", [{"price": 500.0}, {"price": True}, {"price": 1, "stake": 5}, {"stake": None}, {}]
)
def test_one_that_says_something_else_keeps_all_but_the_key(details):
    kept = kept_once({**OURS, "price": 1}, operator="acme", ticket_id="T", details=details)

    assert kept == ({"price": 1}, LeftToTicket.KEY)


def test_an_event_on_the_ticket_of_its_draw_keeps_the_id_that_it_names():
    data = {**OURS, "price": 1}

    assert kept_once(data, operator="acme", ticket_id="T-7", details=data) == (data, None)


@pytest.mark.parametrize("damaged", [None, [], [1], "text", 7, True])
def test_what_is_no_object_is_read_as_it_is(damaged):
    for left_out in (None, "key", "details"):
        read = whole_data(damaged, left_out, operator="acme", ticket_id="T", details={"a": 1})

        assert read == damaged


def test_damaged_details_leave_what_the_event_itself_has():
    read = whole_data({"a": 1}, "details", operator="acme", ticket_id="T", details=[1])

    assert read == {"a": 1, **OURS}


def test_names_stand_as_in_a_jsonb():
    """In its order a page shows them, whether or not they were left out."""
    data = {"price": 1, "é": 2, "b": 3, **OURS}
    kept = kept_once(data, operator="acme", ticket_id="T", details={"é": data["é"]})

    read = whole_data(kept.data, kept.left_out, operator="acme", ticket_id="T", details={"é": 2})

    assert list(read) == ["b", "é", "price", "operator", "ticket_id"]
