"""The order of events on one ticket: times, repeats, amounts, corrections, numbers.

Rules 4, 6 and 9, row by row and by hand. `open@5`: a rollback of second 5 is in
force. The whole histories behind the rows: `test_advance.py`.
"""

from datetime import timedelta

import pytest

from models.lifecycle.decide import decide
from models.vocabulary import Outcome
from tests.support.decisions import check, decided, rows
from tests.support.tickets import at, event, standing, ticket

TIMES = rows("""
 rule 6, H1  | open@5 | win@4      | superseded | older_differs    | =          | -
 rule 3, 6   | open@5 | win@5      | applied    | -                | won@5      | win/1
 rule 6      | open@5 | win@6      | applied    | -                | won@6      | win/1
 rule 6      | open@5 | lost*@4    | superseded | older_differs    | =          | -
 rule 6      | open@5 | lost*@6    | applied    | -                | lost@6     | lost/1
 rule 6, H1  | open@5 | rollback@4 | superseded | older_rollback   | =          | -
 rule 3, 6   | open@5 | rollback@5 | parked     | waits_for_result | =          | -
 rule 6, H2  | open@5 | rollback@6 | parked     | waits_for_result | =          | -
 rule 6      | won@5  | win@4      | superseded | older_same       | =          | -
 rule 3, 6   | won@5  | win@5      | confirmed  | same_result      | won@5      | -
 rule 6, H3  | won@5  | win@6      | confirmed  | same_result      | won@6      | -
 rule 6, H1  | won@5  | lost@4     | superseded | older_differs    | =          | -
 rule 3, 6   | won@5  | lost@5     | parked     | waits_for_rollback | =        | -
 rule 6, H23 | won@5  | lost@6     | parked     | waits_for_rollback | =        | -
 rule 6, H1  | won@5  | rollback@4 | superseded | older_rollback   | =          | -
 rule 3, 6   | won@5  | rollback@5 | applied    | -                | open@5     | rollback/1
 rule 6      | won@5  | rollback@6 | applied    | -                | open@6     | rollback/1
 rule 6, H4  | won@5  | lost*@4    | superseded | older_differs    | =          | -
 rule 6      | won@5  | lost*@5    | applied    | correction       | lost@5     | rollback/1 lost/2
 rule 6      | won@5  | lost*@6    | applied    | correction       | lost@6     | rollback/1 lost/2
 rule 6, H4  | won@5  | win*@4     | superseded | older_same       | =          | -
 rule 6      | won@5  | win*@5     | confirmed  | same_result      | won@5      | -
 rule 6      | won@5  | win*@6     | confirmed  | same_result      | won@6      | -
""")

AMOUNTS = rows("""
 rule 6, H5  | void500@5 | void500@4  | superseded | older_same     | =          | -
 rule 6, H5  | void500@5 | void300@4  | superseded | older_differs  | =          | -
 rule 6, H5  | void500@5 | void500@6  | confirmed  | same_result    | void500@6  | -
 rule 6, H5  | void500@5 | void300@6  | parked     | waits_for_rollback | =      | -
 rule 6, H5  | void500@5 | void300*@6 | applied    | correction     | void300@6  | rollback/1 void/2
 rule 6, H5  | void500@5 | void500*@6 | confirmed  | same_result    | void500@6  | -
 rule 6, H5  | won200@5  | win200@6   | confirmed  | same_result    | won200@6   | -
 rule 6, H5  | won200@5  | win300@6   | parked     | waits_for_rollback | =      | -
 rule 6, H5  | won200@5  | win300*@6  | applied    | correction     | won300@6   | rollback/1 win/2
 rule 6, H5  | won200@5  | win@6      | parked     | waits_for_rollback | =      | -
 rule 6, H5  | won@5     | win300@6   | parked     | waits_for_rollback | =      | -
 rule 6, H5  | won200@5  | lost@6     | parked     | waits_for_rollback | =      | -
""")

# Numbers 1 and 2 are decided; times say nothing any more.
NUMBERS = rows("""
 rule 9 | open@5    | win#3@1       | applied    | -                 | won@5     | win/1
 rule 9 | won@5     | rollback#3@1  | applied    | -                 | open@5    | rollback/1
 rule 9 | won@5     | win#3@1       | confirmed  | same_result       | won@5     | -
 rule 9 | won@5     | lost*#3@1     | applied    | correction        | lost@5    | rollback/1 lost/2
 rule 4 | open@5    | win#3@9       | applied    | -                 | won@9     | win/1
 rule 9 | open@5    | rollback#3@9  | rejected   | out_of_turn       | open@5    | -
 rule 9 | won@5     | lost#3@9      | rejected   | out_of_turn       | won@5     | -
 rule 9 | won@5     | update#3@9    | rejected   | out_of_turn       | won@5     | -
 rule 9 | open@5    | paid#3@9      | rejected   | not_reserved      | open@5    | -
 rule 9 | open@5    | win#4@9       | parked     | waits_for_number  | =         | -
 rule 9 | open@5    | win#2@9       | rejected   | number_used       | =         | -
 rule 9 | open@5    | win#1@9       | rejected   | number_used       | =         | -
 rule 9 | absent    | rollback#3@9  | parked     | waits_for_ticket  | =         | -
 rule 9 | new       | win#3@9       | parked     | waits_for_ticket  | =         | -
 rule 9 | reserved  | win#3@9       | parked     | waits_for_ticket  | =         | -
 rule 7 | closed@5  | win#3@9       | rejected   | ticket_closed     | =         | -
 rule 7 | closed@5  | rollback#9@9  | rejected   | ticket_closed     | =         | -
 rule 7 | closed@5  | win#1@9       | rejected   | ticket_closed     | =         | -
 rule 7 | cancelled | win#9@9       | rejected   | ticket_cancelled  | =         | -
 rule 7 | cancelled | discard#9@9   | confirmed  | already_cancelled | =         | -
""")


@pytest.mark.parametrize("row", TIMES, ids=str)
def test_the_time_of_a_statement_decides(row):
    check(row)


@pytest.mark.parametrize("row", AMOUNTS, ids=str)
def test_the_same_result_is_the_same_action_with_the_same_amounts(row):
    check(row)


@pytest.mark.parametrize("row", NUMBERS, ids=str)
def test_a_number_decides_instead_of_the_time(row):
    state = check(row, sequence=2)

    in_turn = "#3" in row.event and row.ticket not in ("closed@5", "cancelled")
    ended = row.outcome != "parked"
    assert state.sequence == (3 if in_turn and ended else 2)


@pytest.mark.parametrize("money", ["price", "stake", "wht", "ext", "gross_payout", "net_payout"])
def test_another_amount_makes_another_result(money):
    """H5: "same" is action and amounts, whichever of them."""
    state = ticket("void500@5")

    assert decided(state, event("void500@6", **{money: 1})) == ("parked", "waits_for_rollback")


def test_a_note_beside_the_amounts_does_not_make_another_result():
    state = ticket("void500@5")

    assert decided(state, event("void500@6", reason="again", shop="12")) == (
        "confirmed",
        "same_result",
    )


def test_ten_percent_is_the_same_with_a_decimal_point():
    state = ticket("void500@5")

    assert decided(state, event("void500@6", wht=10.0))[0] == "confirmed"


def test_an_amount_given_as_null_is_one_not_given():
    state = ticket("won@5")

    assert decided(state, event("win@6", net_payout=None, price=None))[0] == "confirmed"


def test_the_time_in_force_only_grows():
    """Rule 4, for numbered events whose clock runs backwards."""
    state = ticket("open")
    for notation in ("win#1@9", "rollback#2@7", "lost#3@5"):
        decide(state, event(notation))

    assert standing(state) == "lost@9"


def test_a_microsecond_is_older():
    state = ticket("won@5")
    state.settled_at = at(5) + timedelta(microseconds=1)

    assert decided(state, event("rollback@5")) == ("superseded", "older_rollback")


@pytest.mark.parametrize(
    ("older", "reason"),
    [("rollback@4", "older_rollback"), ("lost@4", "older_differs"), ("win@4", "older_same")],
)
def test_what_is_superseded_names_both_statements(older, reason):
    """H7: a true rollback from a slow clock looks like this, so a person must be able to judge."""
    decision = decide(ticket("won@5"), event(older))

    assert decision.outcome is Outcome.SUPERSEDED
    assert decision.reason == reason
    assert decision.message == (
        f"ticket_{older.partition('@')[0]} of 2026-11-20T12:00:04Z is older than the "
        "current result: resulted/won since 2026-11-20T12:00:05Z"
    )


@pytest.mark.parametrize("truth", ["yes", 1, "true", None, False])
def test_only_true_makes_a_correction(truth):
    """Rule 6: `"correction": true` in `data`."""
    assert decided(ticket("won@5"), event("lost@6", correction=truth))[0] == "parked"
