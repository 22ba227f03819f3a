"""What the text of a search can be the id of."""

import pytest

from models.search import InvalidSearch, read_search_text
from models.search.search_text import TEXT_MAX, KeyParts
from models.vocabulary import Action

ACCENTED, COMBINED = "Jos\u00e9", "Jose\u0301"


@pytest.mark.parametrize(
    "given", ["T1", "  T1\n", '"T1"', "'T1'", ' "T1" ', "`T1`", "\u201cT1\u201d", "\"'T1'\""]
)
def test_spaces_and_quotes_around_an_id_are_ignored(given):
    assert read_search_text(given).id == "T1"


def test_a_quote_that_belongs_to_an_id_stays():
    assert read_search_text('"T1').id == '"T1'


@pytest.mark.parametrize("given", ["", "   ", '""', "' '"])
def test_nothing_is_refused_with_what_may_be_given(given):
    with pytest.raises(InvalidSearch, match="is empty; give an id of a ticket, player"):
        read_search_text(given)


@pytest.mark.parametrize("length", [TEXT_MAX + 1, 100_000])
def test_what_is_longer_than_any_id_is_refused_with_its_length(length):
    with pytest.raises(InvalidSearch, match=f"has {length:,} characters; at most 255"):
        read_search_text("x" * length)


@pytest.mark.parametrize("given", ["T\x00", "T\ud800"])
def test_what_no_database_can_hold_is_refused(given):
    with pytest.raises(InvalidSearch, match="a character that no id can have"):
        read_search_text(given)


def test_an_id_is_read_as_ids_are_stored_and_a_player_in_both_forms():
    text = read_search_text(COMBINED)

    assert text.id == ACCENTED
    assert text.forms == (COMBINED, ACCENTED)


@pytest.mark.parametrize("given", ["x" * 65, "two words", "tab\tinside"])
def test_what_no_id_can_be_is_still_searched_for_as_a_player(given):
    text = read_search_text(given)

    assert text.id is None
    assert text.forms == (given,)


@pytest.mark.parametrize(
    ("given", "number"),
    [("17", 17), ("9223372036854775807", 2**63 - 1), ("9223372036854775808", None), ("-1", None)],
)
def test_a_notice_is_meant_by_a_number_that_a_notice_can_have(given, number):
    assert read_search_text(given).number == number


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ("acme/T1/ticket_win/2", KeyParts("acme", "T1", Action.WIN, 2)),
        ("a/b T/1 ticket_lost 1", KeyParts("a/b", "T/1", Action.LOST, 1)),
        ("a/b/T1/ticket_win/2", None),
        ("acme/T1/ticket_wine/2", None),
        ("acme/T1/ticket_win/two", None),
        ("acme//ticket_win/2", None),
    ],
)
def test_an_idempotency_key_says_its_parts(given, key):
    assert read_search_text(given).key == key


@pytest.mark.parametrize(
    "given",
    ["A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "{a0eebc999c0b4ef8bb6d6bb9bd380a11}"],
)
def test_a_transaction_is_read_in_any_usual_form(given):
    assert read_search_text(given).transaction == "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
