"""The state table: every action against every status, and the order of events on one ticket.

Written by hand, row by row: the statuses from rules 6, 7, 10 and 11; times, repeats, amounts,
corrections and numbers from rules 4, 6 and 9. `open@5`: a rollback of second 5 is in force. The
operator's terms and protocols: `test_decide_terms.py`; whole histories: `test_advance.py`.
"""

from datetime import timedelta

import pytest

from models.lifecycle.decide import decide
from models.triage.event_sentences import remedy
from models.vocabulary import INBOUND, Outcome, Status
from tests.support.decisions import check, decided, rows
from tests.support.tickets import at, event, standing, ticket

ABSENT = """
 machine, H17  | absent | open@2     | applied | -                 | open        | -
 machine       | absent | create@2   | applied | -                 | new         | create/0
 machine       | absent | reserve@2  | applied | -                 | new         | reserve/0
 rule 7        | absent | paid@2     | parked  | waits_for_ticket  | =           | -
 rule 7        | absent | update@2   | parked  | waits_for_ticket  | =           | -
 rule 11       | absent | discard@2  | applied | -                 | cancelled   | discard/0
 machine       | absent | win@2      | applied | opened_implicitly | won@2       | win/1
 machine       | absent | lost@2     | applied | opened_implicitly | lost@2      | lost/1
 machine       | absent | void500@2  | applied | opened_implicitly | void500@2   | void/1
 machine       | absent | refund@2   | applied | opened_implicitly | refunded@2  | refund/1
 machine       | absent | lost*@2    | applied | opened_implicitly | lost@2      | lost/1
 rule 7, H17   | absent | rollback@2 | parked  | waits_for_ticket  | =           | -
"""

NEW = """
 rule 11       | new    | open@2     | applied | late_open         | new         | -
 rule 11, H28  | new    | create@2   | rejected| already_known     | =           | -
 rule 11, H28  | new    | reserve@2  | rejected| already_known     | =           | -
 rule 7        | new    | paid@2     | parked  | waits_for_ticket  | =           | -
 rule 7        | new    | update@2   | parked  | waits_for_ticket  | =           | -
 machine       | new    | discard@2  | applied | -                 | cancelled   | discard/0
 rule 7, H18   | new    | win@2      | parked  | waits_for_ticket  | =           | -
 rule 7, H18   | new    | lost@2     | parked  | waits_for_ticket  | =           | -
 rule 7, H18   | new    | void500@2  | parked  | waits_for_ticket  | =           | -
 rule 7, H18   | new    | refund@2   | parked  | waits_for_ticket  | =           | -
 rule 7, H18   | new    | lost*@2    | parked  | waits_for_ticket  | =           | -
 rule 7        | new    | rollback@2 | parked  | waits_for_ticket  | =           | -
"""

RESERVED = """
 rule 11       | reserved | open@2     | applied | late_open        | reserved   | -
 rule 11, H28  | reserved | create@2   | rejected| already_known    | =          | -
 rule 11, H28  | reserved | reserve@2  | rejected| already_known    | =          | -
 machine       | reserved | paid@2     | applied | -                | open       | -
 machine       | reserved | update@2   | applied | -                | reserved   | update/1
 machine       | reserved | discard@2  | applied | -                | cancelled  | discard/0
 machine       | reserved | win@2      | parked  | waits_for_ticket | =          | -
 machine       | reserved | lost@2     | parked  | waits_for_ticket | =          | -
 machine       | reserved | void500@2  | parked  | waits_for_ticket | =          | -
 machine       | reserved | refund@2   | parked  | waits_for_ticket | =          | -
 machine       | reserved | lost*@2    | parked  | waits_for_ticket | =          | -
 rule 7        | reserved | rollback@2 | parked  | waits_for_ticket | =          | -
"""

OPEN = """
 rule 11       | open   | open@2     | applied | late_open         | open        | -
 rule 11, H28  | open   | create@2   | rejected| already_known     | =           | -
 rule 11, H28  | open   | reserve@2  | rejected| already_known     | =           | -
 machine       | open   | paid@2     | rejected| not_reserved      | =           | -
 machine       | open   | update@2   | applied | -                 | open        | update/1
 H30           | open   | discard@2  | rejected| already_open      | =           | -
 rule 6        | open   | win@2      | applied | -                 | won@2       | win/1
 rule 6        | open   | lost@2     | applied | -                 | lost@2      | lost/1
 rule 6        | open   | void500@2  | applied | -                 | void500@2   | void/1
 rule 6        | open   | refund@2   | applied | -                 | refunded@2  | refund/1
 rule 6        | open   | lost*@2    | applied | -                 | lost@2      | lost/1
 rule 6        | open   | rollback@2 | parked  | waits_for_result  | =           | -
"""

RESULTED = """
 rule 11       | won@1  | open@2     | applied | late_open          | won@1      | -
 rule 11, H28  | won@1  | create@2   | rejected| already_known      | =          | -
 rule 11, H28  | won@1  | reserve@2  | rejected| already_known      | =          | -
 machine       | won@1  | paid@2     | rejected| not_reserved       | =          | -
 rule 7        | won@1  | update@2   | parked  | waits_for_rollback | =          | -
 H30           | won@1  | discard@2  | rejected| already_open       | =          | -
 rule 6        | won@1  | lost@2     | parked  | waits_for_rollback | =          | -
 rule 6        | won@1  | void500@2  | parked  | waits_for_rollback | =          | -
 rule 6        | won@1  | refund@2   | parked  | waits_for_rollback | =          | -
 rule 6        | won@1  | rollback@2 | applied | -                  | open@2     | rollback/1
 rule 6        | won@1  | lost*@2    | applied | correction         | lost@2     | rollback/1 lost/2
 rule 6        | won@1  | void300*@2 | applied | correction         | void300@2  | rollback/1 void/2
 rule 6       | won@1  | refund*@2  | applied | correction        | refunded@2 | rollback/1 refund/2
 rule 6, H3    | won@1  | win@2      | confirmed| same_result       | won@2      | -
 rule 6, H3    | won@1  | win*@2     | confirmed| same_result       | won@2      | -
 rule 6        | lost@1 | lost@2     | confirmed| same_result       | lost@2     | -
 rule 6        | lost@1 | win@2      | parked  | waits_for_rollback | =          | -
 rule 6        | lost@1 | void500@2  | parked  | waits_for_rollback | =          | -
 rule 6        | lost@1 | refund@2   | parked  | waits_for_rollback | =          | -
 rule 6        | lost@1 | win*@2     | applied | correction         | won@2      | rollback/1 win/2
 rule 6        | lost@1 | rollback@2 | applied | -                  | open@2     | rollback/1
 rule 6        | void500@1 | void500@2 | confirmed | same_result    | void500@2  | -
 rule 6        | void500@1 | win@2     | parked | waits_for_rollback | =         | -
 rule 6        | void500@1 | lost@2    | parked | waits_for_rollback | =         | -
 rule 6        | void500@1 | refund@2  | parked | waits_for_rollback | =         | -
 rule 6        | void500@1 | rollback@2| applied | -                | open@2     | rollback/1
 rule 6        | refunded@1 | refund@2 | confirmed | same_result    | refunded@2 | -
 rule 6        | refunded@1 | win@2    | parked | waits_for_rollback | =         | -
 rule 6        | refunded@1 | lost@2   | parked | waits_for_rollback | =         | -
 rule 6        | refunded@1 | void500@2| parked | waits_for_rollback | =         | -
 rule 6        | refunded@1 | rollback@2| applied | -               | open@2     | rollback/1
"""

EVERYTHING = [
    *("open@2", "create@2", "reserve@2", "paid@2", "update@2", "discard@2"),
    *("win@2", "lost@2", "void500@2", "refund@2", "rollback@2", "lost*@2"),
    *("win@0", "lost@0", "rollback@0"),  # the current result again, and older ones, too
]
CLOSED = "".join(
    f" rule 7 | closed@1 | {action} | rejected | ticket_closed | = | -\n" for action in EVERYTHING
)
CANCELLED = "".join(
    f" rule 7, H29 | cancelled | {action} | rejected | ticket_cancelled | = | -\n"
    for action in EVERYTHING
    if action != "discard@2"
)
DISCARDED_AGAIN = """
 machine  | cancelled | discard@2 | confirmed | already_cancelled | = | -
"""
TABLE = rows(ABSENT + NEW + RESERVED + OPEN + RESULTED + CLOSED + CANCELLED + DISCARDED_AGAIN)


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_a_timely_event_does_what_the_state_table_says(row):
    check(row)


@pytest.mark.parametrize("action", INBOUND)
def test_the_table_asks_every_status(action):
    word = action.removeprefix("ticket_")
    statuses = {row.ticket.partition("@")[0] for row in TABLE if row.event.startswith(word)}

    assert {"absent", "new", "reserved", "open", "won", "closed", "cancelled"} <= statuses


@pytest.mark.parametrize("status", ["open", "reserved", "won@1", "lost@1"])
def test_a_late_create_names_its_remedy(status):
    """H28: who publishes create or reserve sets `announces_tickets`."""
    decision = decide(ticket(status), event("create@2"))

    assert decision.message is not None
    assert "need an operator that announces its tickets" in decision.message
    assert "the partner is not asked to debit" in decision.message
    assert "--announces-tickets" in (remedy(decision.reason) or "")


def test_a_result_for_a_cancelled_ticket_names_who_cancelled_it():
    """H29: the reason says who cancelled and why."""
    state = ticket()
    decide(state, event("discard@1", reason="player left"))

    decision = decide(state, event("win@2"))

    assert decision.outcome is Outcome.REJECTED
    assert decision.message == ("the ticket was cancelled by ticket_discard discard@1: player left")


def test_a_rollback_after_closing_is_refused_with_the_current_result():
    decision = decide(ticket("closed@1"), event("rollback@2"))

    assert decision.message == "the ticket is closed (won); that is final"


def test_what_waits_says_for_what():
    waits = {
        "new": "the ticket is new; this waits for its next status",
        "open": "there is no result to withdraw yet",
    }
    for status, message in waits.items():
        assert decide(ticket(status), event("rollback@2")).message == message

    other = decide(ticket("won@1"), event("lost@2"))
    assert other.message == ("the ticket is resulted/won; ticket_lost waits for a rollback of that")


def test_a_tombstone_refuses_the_create_that_comes_after_it():
    """Rule 11, H30: `discard@1 | create@2` ends cancelled, and the partner is sent a discard."""
    state = ticket()
    decide(state, event("discard@1"))

    decision = decide(state, event("create@2"))

    assert decision.outcome is Outcome.REJECTED
    assert state.status is Status.CANCELLED
    assert [notice.action for notice in state.new_notices] == ["ticket_discard"]


# --- times, repeats, amounts, corrections, numbers ------------------------------------------------

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
    """H7: a true rollback from a slow clock looks like this, so a person must be able to decide."""
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
