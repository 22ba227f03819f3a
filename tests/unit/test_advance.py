"""Events that arrive in the wrong order: counterexamples H1 to H9, and the six orders.

`win@1 | rollback@2`: happened at 1 and 2, arrived in this order, each in a batch of its own.
"""

from itertools import permutations, product

import pytest

from models.events.decode import read
from models.events.event import Entry, Event
from models.lifecycle.advance import PendingEvent, advance
from tests.support.tickets import NOON, WINDOW, Life, at, event, standing, ticket


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
