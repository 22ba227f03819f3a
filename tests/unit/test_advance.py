"""Events that arrive in the wrong order: counterexamples H1 to H9, the six orders, and numbers.

`win@1 | rollback@2`: happened at 1 and 2, arrived in this order, each in a batch of its own.
"""

from itertools import permutations, product

import pytest

from models.events.decode import read
from models.events.event import Entry, Event
from models.lifecycle.advance import PendingEvent, advance
from tests.support.tickets import ANNOUNCING, NOON, WINDOW, Life, at, event, standing, ticket


def arrived(order: str) -> Life:
    """Return how a ticket ended when events arrived one by one."""
    return Life().arrive_one_by_one(*order.split(" | "))


def notices(life: Life) -> str:
    return " ".join(life.sent)


@pytest.mark.parametrize(
    ("order", "ends", "partner"),
    [
        # H1: `rollback@2` would withdraw the lost, and the partner end with the win
        ("lost@3 | rollback@2 | win@1", "lost@3", "lost"),
        ("rollback@2 | lost@3 | win@1", "lost@3", "lost"),
        ("lost@3 | win@1 | rollback@2", "lost@3", "lost"),
        ("rollback@1 | win@2", "won@2", "win"),
        # H2: the repeat under another id would hit the next result
        ("win@1 | rollback@2 | rollback'@2 | lost@3", "lost@3", "win rollback lost"),
        ("win@1 | rollback'@2 | lost@3 | rollback@2", "lost@3", "win rollback lost"),
        # H3: the repeat moves the time on
        ("win@1 | win@3 | rollback@2", "won@3", "win"),
        ("win@3 | win@1 | rollback@2", "won@3", "win"),
        # H4: two lottery settlements, the older one late
        ("win@2 | lost*@1", "won@2", "win"),
        ("win*@2 | lost*@1", "won@2", "win"),
        ("lost*@1 | win*@2", "won@2", "lost rollback win"),
        # H5: the same result with other money
        ("void500@1 | void300*@2", "void300@2", "void rollback void"),
        ("win500@1 | win300*@2", "won300@2", "win rollback win"),
        # H9: a fitting result does not wait for an older rollback
        ("rollback@3 | rollback@1 | win@2", "open@3", "win rollback"),
    ],
)
def test_no_order_ends_the_ticket_wrongly(order, ends, partner):
    life = arrived(order)

    assert standing(life.ticket) == ends
    assert notices(life) == partner


SIX_ORDERS = [
    ("win@1 | rollback@2 | lost@3", "win rollback lost"),
    ("win@1 | lost@3 | rollback@2", "win rollback lost"),
    ("rollback@2 | win@1 | lost@3", "win rollback lost"),
    ("rollback@2 | lost@3 | win@1", "lost"),
    ("lost@3 | win@1 | rollback@2", "lost"),
    ("lost@3 | rollback@2 | win@1", "lost"),
]


@pytest.mark.parametrize(("order", "partner"), SIX_ORDERS)
def test_the_six_orders_end_alike(order, partner):
    """Promise 2: one state, and a legal sequence that may lack a (result, rollback) pair."""
    life = arrived(order)

    assert standing(life.ticket) == "lost@3"
    assert notices(life) == partner
    assert life.parked == []


@pytest.mark.parametrize(("order", "_"), SIX_ORDERS)
def test_the_six_orders_in_one_batch_give_the_whole_sequence(order, _):
    """Rule 5: a batch is decided together, oldest first."""
    life = Life().arrive(*order.split(" | "))

    assert standing(life.ticket) == "lost@3"
    assert notices(life) == "win rollback lost"


@pytest.mark.parametrize("order", list(permutations(["win#1@1", "rollback#2@2", "lost#3@3"])))
def test_the_six_orders_with_numbers_give_the_whole_sequence(order):
    """Promise 2: complete where events carry `sequence`."""
    life = Life().arrive_one_by_one(*order)

    assert standing(life.ticket) == "lost@3"
    assert notices(life) == "win rollback lost"
    assert life.ticket.sequence == 3
    assert life.parked == []


@pytest.mark.parametrize("order", list(permutations(["win#1@3", "rollback#2@2", "lost#3@1"])))
def test_numbers_need_no_clock(order):
    """Rule 9: decided by the table alone, without times."""
    life = Life().arrive_one_by_one(*order)

    assert life.ticket.result == "lost"
    assert notices(life) == "win rollback lost"


@pytest.mark.parametrize(
    ("order", "ends", "partner"),
    [
        ("win@1 | rollback@1 | lost@1", "lost@1", "win rollback lost"),
        ("win@1 | lost@1 | rollback@1", "lost@1", "win rollback lost"),
        ("rollback@1 | win@1 | lost@1", "lost@1", "win rollback lost"),
        ("lost@1 | rollback@1 | win@1", "won@1", "lost rollback win"),
    ],
)
def test_at_equal_times_arrival_decides_and_what_fits_is_applied(order, ends, partner):
    """Rule 3: the arrival breaks ties."""
    life = arrived(order)

    assert standing(life.ticket) == ends
    assert notices(life) == partner


def test_at_equal_times_the_place_in_the_batch_decides():
    life = Life().arrive("win@1", "rollback@1", "lost@1")

    assert notices(life) == "win rollback lost"


def test_what_the_database_returns_in_any_order_is_decided_in_the_order_of_arrival():
    state = ticket("open")
    waiting = [PendingEvent(event("lost@1"), arrival=2), PendingEvent(event("win@1"), arrival=1)]

    advance(state, waiting, now=at(1), window=WINDOW, was_new=False)

    assert [notice.action for notice in state.new_notices] == ["ticket_win"]
    assert state.parked == 1


# --- clocks -------------------------------------------------------------------------------------


def entered(second: int, action: str, *, stamped: int | None) -> Event:
    """Read an event that reached the stream at *second*, stamped by its publisher."""
    entry_id = f"{round(at(second).timestamp() * 1000)}-0"
    head = "" if stamped is None else f'"occurred_at":"{at(stamped).isoformat()}",'
    data = '{"operator":"operator-code","ticket_id":"1330556611374148608"}'
    raw = f'{{{head}"action":"{action}","data":{data}}}'
    read_event = read(Entry(entry_id, {b"event": raw.encode()}))
    assert isinstance(read_event, Event)
    return read_event


def test_a_time_in_the_future_does_not_freeze_the_ticket():
    """H6, rule 3: never later than the entry's own time."""
    years = 9 * 365 * 86400
    won = entered(0, "ticket_win", stamped=years)
    rolled_back = entered(10, "ticket_rollback", stamped=10)

    life = Life().arrive_one_by_one(won, rolled_back)

    assert won.order_time == NOON
    assert notices(life) == "win rollback"


def test_without_a_stamp_the_order_is_the_arrival():
    """Rule 3: the entry's time counts; rule 2: the id is `stream:` and the entry's id."""
    actions = ["ticket_win", "ticket_rollback", "ticket_lost"]

    life = Life().arrive_one_by_one(
        *(entered(second, action, stamped=None) for second, action in enumerate(actions))
    )

    assert standing(life.ticket) == "lost@2"
    assert notices(life) == "win rollback lost"
    assert all(event_id.startswith("stream:") for event_id in life.ended)


STATEMENTS = ((0, "ticket_win"), (10, "ticket_rollback"), (20, "ticket_lost"))


def ended_by_clocks(off: tuple[bool, bool, bool], error: int) -> Life:
    """Let three statements 10 s apart arrive in order; those that are *off* have a bad clock."""
    return Life().arrive_one_by_one(
        *(
            entered(second, action, stamped=second + (error if bad else 0))
            for bad, (second, action) in zip(off, STATEMENTS, strict=True)
        )
    )


@pytest.mark.parametrize("error", [15, 25])
@pytest.mark.parametrize("off", list(product([False, True], repeat=3)))
def test_a_fast_clock_is_harmless(off, error):
    """Rule 3 and H6: bounded by the entry's time, 0 of 8 are wrong."""
    assert standing(ended_by_clocks(off, error).ticket) == "lost@20"


@pytest.mark.parametrize("error", [-15, -25])
@pytest.mark.parametrize("off", list(product([False, True], repeat=3)))
def test_a_slow_clock_harms_visibly(off, error):
    """Promise 4 and H7: 4 of 8 are wrong, and none of them silently."""
    harmed = off in {
        (False, True, False),  # the rollback seems older than its win
        (False, True, True),
        (False, False, True),  # the lost seems older than the rollback
        (True, False, True),
    }

    life = ended_by_clocks(off, error)

    assert (life.ticket.result != "lost") == harmed
    reasons = {decision.reason for decision in life.ended.values()}
    assert bool(reasons & {"older_rollback", "older_differs"}) == harmed


def test_a_slow_clock_s_rollback_looks_like_a_late_one_and_is_shown():
    """H7: `win 10:00:05 | rollback 10:00:00`, stamped by a clock that is slow."""
    life = arrived("win@5 | rollback@0")

    assert standing(life.ticket) == "won@5"
    assert life.outcome("rollback@0") == ("superseded", "older_rollback")


# --- deciding together --------------------------------------------------------------------------


def test_what_was_parked_and_what_has_just_come_are_decided_together():
    """Rule 5: again from the oldest after each change."""
    life = arrived("lost@4 | win@5").arrive("rollback@6", "rollback@4")

    assert standing(life.ticket) == "open@6"
    assert notices(life) == "lost rollback win rollback"
    assert life.parked == []


def test_each_event_that_ends_names_the_status_before_and_after():
    state = ticket("open")
    waiting = [
        PendingEvent(event(notation), n)
        for n, notation in enumerate(["win@1", "rollback@2", "lost@3"])
    ]

    decided = advance(state, waiting, now=at(3), window=WINDOW, was_new=False)

    assert [(end.before, end.after) for end in decided] == [
        ("open", "resulted/won"),
        ("resulted/won", "open"),
        ("open", "resulted/lost"),
    ]


# --- numbered events (rule 9) ---------------------------------------------------------------------

QUARTER = round(WINDOW.total_seconds())  # the parking window, in seconds


def test_a_number_waits_for_those_before_it():
    life = Life().arrive_one_by_one("lost#3@3", "rollback#2@2")
    assert life.outcome("lost#3@3") == ("parked", "waits_for_number")
    assert life.ended["lost#3@3"].message == "number 3 waits for number 1"

    life.arrive("win#1@1")

    assert life.sent == ["win", "rollback", "lost"]


def test_a_window_that_ends_gives_the_gap_up_and_the_parked_numbers_follow_in_order():
    life = Life().arrive_one_by_one("win#1@1", "lost#4@4", "rollback#3@30")
    assert life.sent == ["win"]

    life.end_windows(now=4 + QUARTER)

    assert life.sent == ["win", "rollback", "lost"]
    assert life.ticket.sequence == 4
    assert life.parked == []


def test_what_follows_a_gap_that_was_given_up_is_decided_with_it():
    """Rule 5: each change of a ticket decides its parked events, their window ended or not."""
    life = Life().arrive_one_by_one("win#1@1", "rollback#3@3", "lost#4@300", "refund@301")

    life.end_windows(now=3 + QUARTER)

    assert life.sent == ["win", "rollback", "lost"]
    assert life.outcome("refund@301")[0] == "parked"


def test_a_number_that_was_given_up_is_refused_when_it_comes():
    life = Life().arrive_one_by_one("win#1@1", "rollback#3@3").end_windows(now=3 + QUARTER)

    life.arrive("refund#2@2")

    assert life.outcome("refund#2@2") == ("rejected", "number_used")
    assert life.ended["refund#2@2"].message == "number 2 was decided or given up before"


def test_a_number_that_was_used_is_refused_under_another_id():
    life = Life().arrive_one_by_one("win#1@1", "lost'#1@2")

    assert life.outcome("lost'#1@2") == ("rejected", "number_used")


def test_a_misfit_in_its_turn_is_refused_at_once_and_its_number_used():
    """Rule 9, and the next number goes on."""
    life = Life(ticket("open")).arrive_one_by_one("rollback#1@1", "win#2@2")

    assert life.outcome("rollback#1@1") == ("rejected", "out_of_turn")
    assert life.ended["rollback#1@1"].message == (
        "number 1 is ticket_rollback, which a ticket that is open cannot take"
    )
    assert life.sent == ["win"]


def test_a_number_whose_ticket_never_came_ends_with_its_window():
    life = (
        Life(ticket("absent", ANNOUNCING))
        .arrive_one_by_one("win#1@1", "rollback#2@2")
        .end_windows(now=QUARTER + 9)
    )

    assert life.outcome("win#1@1") == ("rejected", "window_ended")
    assert life.outcome("rollback#2@2") == ("rejected", "window_ended")
    assert life.ticket.sequence == 2


def test_numbers_beyond_an_unended_window_go_on_waiting():
    life = Life().arrive_one_by_one("win#2@1", "rollback#5@30").end_windows(now=1 + QUARTER)

    assert life.sent == ["win"]
    assert life.outcome("rollback#5@30") == ("parked", "waits_for_number")

    life.end_windows(now=30 + QUARTER)
    assert life.sent == ["win", "rollback"]


def test_no_gap_is_given_up_while_the_ticket_is_new():
    life = Life().arrive_one_by_one("create#1@0", "win#3@3").end_windows(now=10 * QUARTER)

    assert life.outcome("win#3@3") == ("parked", "waits_for_number")


def test_a_closed_ticket_answers_a_number_at_once():
    """Rule 7: parked is only what a later event or answer can still make fit."""
    life = Life(ticket("closed@1")).arrive("rollback#7@2")

    assert life.outcome("rollback#7@2") == ("rejected", "ticket_closed")
    assert life.parked == []
