"""What names a player, and what only reads the same (rule 25)."""

import base64
import json

import pytest
from pydantic import SecretStr

from models.erasure import ERASED, PlayerName, player_fingerprints
from models.events.kept_data import kept_data

SEVEN = PlayerName("7")
JOSE = PlayerName("Jose\u0301")  # the accent is a character of its own


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("7", True),
        ("player 7 phoned", True),
        ("(7)", True),
        ("17", False),
        ("7a", False),
        ("a_7", False),
        (None, False),
        ("", False),
    ],
)
def test_a_text_names_a_player_by_a_word_of_its_own(text, named):
    assert SEVEN.is_in_text(text) is named


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"player_id": "7"}, True),
        ({"lottery": {"user_id": "7"}}, True),
        ({"player_id": 7}, True),
        ({"table": "7"}, True),  # unknown fields may hold anything
        ({"reason": "asked for by 7"}, True),
        ({"meta": ["x", "7"]}, True),
        ({"7": "friend"}, True),
        ({"game_id": "7", "draw_id": "7", "ticket_id": "7", "event_id": "7"}, False),
        ({"price": 7, "table": 7}, False),
        ({"player_id": True}, False),
        (None, False),
    ],
)
def test_a_json_value_names_a_player_where_a_player_can_be_named(value, named):
    assert SEVEN.is_in_json(value) is named


def test_a_value_that_is_nested_beyond_reason_is_not_followed_to_its_end():
    value: object = "x"
    for _ in range(500):
        value = [value]

    assert not SEVEN.is_in_json(value)


@pytest.mark.parametrize("form", ["Jose\u0301", "Jos\u00e9"])
@pytest.mark.parametrize(
    "write",
    [
        lambda form: form.encode(),
        lambda form: form.encode("utf-16-le"),
        lambda form: form.encode("utf-16-be"),
        lambda form: b"{" + json.dumps({"x": form}).encode(),
        lambda form: json.dumps({"note": form}).encode(),
        lambda form: json.dumps({"body": base64.b64encode(form.encode()).decode()}).encode(),
    ],
    ids=["utf-8", "utf-16-le", "utf-16-be", "escaped", "json", "celery"],
)
def test_raw_input_names_a_player_however_it_is_written(form, write):
    assert JOSE.is_in_raw(write(form))
    assert not PlayerName("Joseph").is_in_raw(write(form))


def test_every_text_that_names_the_player_is_replaced_as_a_whole():
    value = {"why": "7 phoned", "count": 7, "who": {"7": ["7", "8"]}, "none": None}

    assert SEVEN.removed_from(value) == {
        "why": ERASED,
        "count": 7,
        "who": {ERASED: [ERASED, "8"]},
        "none": None,
    }


def test_what_is_kept_of_data_is_money_flags_and_the_ticket():
    data = {
        "operator": "acme",
        "ticket_id": "T",
        "price": 500,
        "wht": 12.5,
        "currency": "EUR",
        "correction": True,
    }
    blanked = {"player_id": "7", "psp": "x", "atag": "x", "rtag": "x", "game": "x", "meta": {}}

    assert kept_data({**data, **blanked, "net_payout": "name", "gross_payout": None}) == data
    assert kept_data({"currency": "eur", "operator": 7, "ticket_id": ["x"]}) == {}


def test_a_fingerprint_depends_on_key_operator_and_player():
    keys = [SecretStr("a"), SecretStr("b")]
    first, second = player_fingerprints(keys, operator="acme", player_id="7")

    assert len({first, second}) == 2
    assert player_fingerprints(keys[:1], operator="acme", player_id="7") == (first,)
    assert first not in player_fingerprints(keys, operator="acm", player_id="e 7")
    assert first not in player_fingerprints(keys, operator="beta", player_id="7")
