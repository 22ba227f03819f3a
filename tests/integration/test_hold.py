"""A person holds a ticket: what does not happen meanwhile, and what does (rule 23)."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from models.operators.listing import OperatorNotFound
from models.outbox.dead_letters import Resolution
from models.outbox.send_again import send_again
from models.outbox.values import Dead, RetryLater, Unanswered
from models.sweeps.retention import remove_expired
from models.triage import HoldRefused
from tests.support.harness import (
    AMOUNTS,
    CLOSE_DELAY,
    CREATE_AGE_MAX,
    HOLDER,
    LEASE,
    PARKING_WINDOW,
    PARTNER_GRACE,
    SLIP,
)
from tests.support.records import Records
from tests.support.triage_actions import TriageActions

AGAIN = RetryLater(timedelta(hours=2))
UNANSWERED = Unanswered(timedelta(seconds=1))
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
INTERVENTIONS = text(
    "SELECT at, who, why, did, operator, ticket, facts FROM intervention ORDER BY id"
)


@pytest.fixture
def win(harness):
    """A ticket with a result that the partner is to get."""
    harness.say("ticket_win")


def heads(records: Records) -> list[bool]:
    return [row.head for row in records.notices()]


# --- what does not happen while it is on hold -----------------------------------------------------


@pytest.mark.usefixtures("win")
def test_nothing_of_a_ticket_on_hold_is_sent(harness, records):
    harness.hold()
    harness.wait(DAY)

    assert harness.claim() == []
    assert heads(records) == [False]


@pytest.mark.usefixtures("win")
def test_other_tickets_of_the_operator_go_on(harness):
    harness.hold()
    harness.say("ticket_win", "U")

    assert harness.deliver() == [("U", "ticket_win")]


def test_what_events_cause_meanwhile_waits_in_order(harness, records):
    harness.say("ticket_open")
    harness.hold()
    harness.say("ticket_win")
    harness.say("ticket_rollback")
    harness.say("ticket_lost")

    assert records.standing() == "resulted/lost"
    assert harness.claim() == []
    harness.release_ticket()
    sent = [harness.deliver() for _ in range(3)]
    assert sent == [[("T", "ticket_win")], [("T", "ticket_rollback")], [("T", "ticket_lost")]]


@pytest.mark.usefixtures("win")
def test_it_does_not_close(harness, records):
    harness.deliver()
    harness.hold()
    harness.wait(3 * CLOSE_DELAY)

    assert (harness.close_due(), records.standing()) == (0, "resulted/won")


def test_a_wallets_ticket_does_not_close_either(harness, records):
    """It is sent no `ticket_closed` (contracts 2.0), so its row alone must stop the sweep."""
    harness.add_operator("wallet", protocol="seamless", announces_tickets=True)
    harness.say("ticket_open", operator="wallet", **{**SLIP, "game": "g", "game_id": "1"})
    harness.say("ticket_win", operator="wallet", net_payout=100)
    harness.deliver()
    harness.hold(operator="wallet")
    harness.wait(3 * CLOSE_DELAY)
    assert harness.close_due() == 0

    harness.release_ticket(operator="wallet")
    assert harness.close_due() == 1
    assert records.standing(operator="wallet") == "closed/won"


def test_windows_end_as_ever(harness, records):
    harness.say("ticket_open")
    harness.say("ticket_rollback")
    harness.hold()
    harness.wait(PARKING_WINDOW)

    assert harness.end_windows() == 1
    assert records.outcomes()[-1] == ("ticket_rollback", "rejected")


def test_what_a_window_lets_through_is_not_sent(harness, records):
    """An event that was parked with a number is decided when its window ends, and owes a notice."""
    harness.say("ticket_open")
    harness.say("ticket_win", sequence=2)
    harness.hold()
    harness.wait(PARKING_WINDOW)
    harness.end_windows()

    assert records.standing() == "resulted/won"
    assert (heads(records), harness.claim()) == ([False], [])


# --- a call that is under way ---------------------------------------------------------------------


@pytest.mark.usefixtures("win")
def test_the_success_of_a_call_under_way_counts_and_the_next_is_not_sent(harness, records):
    under_way = harness.claim_one()
    harness.say("ticket_rollback")
    held = harness.hold()
    harness.record(under_way)

    assert (held.in_flight, held.in_flight_until) == ("ticket_win", harness.now + LEASE)
    assert records.notice(1).ended == "delivered"
    assert (heads(records), harness.claim()) == ([False, False], [])
    assert harness.release_ticket().next_action == "ticket_rollback"
    assert harness.deliver() == [("T", "ticket_rollback")]


@pytest.mark.usefixtures("win")
def test_its_success_starts_the_clock_as_ever(harness, records):
    """Rule 16: the delay runs on while the ticket is on hold."""
    under_way = harness.claim_one()
    harness.hold()
    harness.record(under_way)

    assert records.ticket().close_due_at == harness.now + CLOSE_DELAY


@pytest.mark.parametrize(
    "verdict", [AGAIN, UNANSWERED, Dead("410 Gone")], ids=["again", "unanswered", "dead"]
)
@pytest.mark.usefixtures("win")
def test_its_failure_makes_no_head(harness, records, verdict):
    under_way = harness.claim_one()
    harness.hold()
    harness.record(under_way, verdict)
    harness.wait(DAY)

    assert (heads(records), harness.claim()) == ([False], [])
    assert len(records.attempts()) == 1


@pytest.mark.usefixtures("win")
def test_a_claim_that_was_returned_unsent_waits_for_the_release(harness):
    claimed = harness.claim_one()
    harness.hold()
    harness.release(claimed)
    assert harness.claim() == []

    harness.release_ticket()
    assert harness.claim_one().notice == claimed.notice


@pytest.mark.usefixtures("win")
def test_a_call_that_outlives_hold_and_release_is_not_made_twice(harness):
    """Rule 14: the lease holds, whatever a person does."""
    under_way = harness.claim_one()
    harness.hold()
    harness.release_ticket()

    assert harness.claim() == []
    harness.record(under_way)
    assert harness.claim() == []


def test_a_create_in_flight_on_a_discarded_ticket_is_sent_once(harness, records):
    """Rule 10: discarded while it is being sent, then held; its outcome and its discard follow."""
    harness.say("ticket_create", **SLIP)
    harness.claim_one()
    harness.say("ticket_discard")
    harness.hold()
    harness.wait(CREATE_AGE_MAX + LEASE)
    assert harness.abandon_creates() == 1
    assert (heads(records), harness.claim()) == ([False, False], [])

    harness.release_ticket()
    assert harness.deliver() == [("T", "ticket_discard")]


def test_the_second_sending_of_a_discard_waits_for_release_and_its_own_pause(harness, records):
    harness.say("ticket_create", **SLIP)
    harness.deliver(UNANSWERED)
    harness.wait(PARTNER_GRACE)
    discard = harness.claim_one()
    harness.hold()
    harness.record(discard)
    assert heads(records) == [False, False, False]

    harness.release_ticket()
    assert harness.claim() == []
    harness.wait(timedelta(minutes=30))
    assert harness.deliver() == [("T", "ticket_discard")]


# --- dead notices (rule 18) -----------------------------------------------------------------------


@pytest.fixture
def dead(harness, records):
    """The id of a dead notice of a ticket on hold, with another one behind it."""
    harness.say("ticket_win")
    harness.deliver(Dead("410 Gone"))
    harness.say("ticket_rollback")
    harness.hold()
    return records.notice(1).id


@pytest.mark.parametrize(
    "resolution",
    [Resolution.RETRY, Resolution.SKIP_DELIVERED, Resolution.SKIP_NOT_DELIVERED],
)
def test_a_dead_notice_can_be_resolved_but_nothing_is_sent(harness, records, dead, resolution):
    TriageActions(harness, records).resolve(dead, resolution)

    assert (heads(records), harness.claim()) == ([False, False], [])
    harness.release_ticket()
    next_ = {
        Resolution.RETRY: [("T", "ticket_win")],
        Resolution.SKIP_DELIVERED: [("T", "ticket_rollback")],
        Resolution.SKIP_NOT_DELIVERED: [],  # it takes the rollback along
    }
    assert harness.deliver() == next_[resolution]


@pytest.mark.usefixtures("dead")
def test_a_dead_notice_blocks_again_after_the_release(harness, records):
    """Rule 12."""
    released = harness.release_ticket()

    assert (released.next_action, released.next_dead) == ("ticket_win", True)
    assert (heads(records), harness.claim()) == ([True, False], [])


# --- repeats (rule 22) ----------------------------------------------------------------------------


@pytest.mark.usefixtures("win")
def test_what_is_sent_again_waits_for_the_release(harness, records, engine):
    harness.deliver()
    harness.hold()
    with engine.begin() as connection:
        again = send_again(connection, records.notice(1).id, now=harness.now)

    assert (again.due, heads(records), harness.claim()) == (False, [False, False], [])
    assert harness.release_ticket().next_action == "ticket_win"
    assert harness.deliver() == [("T", "ticket_win")]


# --- what is refused ------------------------------------------------------------------------------


def test_a_new_ticket_is_not_held(harness, records):
    """Rule 10: its create cannot wait."""
    harness.say("ticket_create", **SLIP)

    with pytest.raises(HoldRefused, match=r"is new: .* publish a ticket_discard"):
        harness.hold()
    assert records.ticket().on_hold_at is None
    assert harness.deliver() == [("T", "ticket_create")]


def test_a_ticket_that_nothing_opened_is_not_held(harness):
    """It may yet become new."""
    harness.add_operator("careful", announces_tickets=True)
    harness.say("ticket_win", operator="careful", **AMOUNTS)

    with pytest.raises(HoldRefused, match="no ticket T of careful has been opened"):
        harness.hold(operator="careful")
    with pytest.raises(HoldRefused, match="no ticket unknown of careful has been opened"):
        harness.hold("unknown", operator="careful")
    with pytest.raises(OperatorNotFound, match="did you mean 'careful'"):
        harness.hold(operator="carefull")


@pytest.mark.usefixtures("win")
def test_a_ticket_is_held_once_and_released_once(harness, records):
    with pytest.raises(HoldRefused, match="ticket T of acme is not on hold"):
        harness.release_ticket()
    harness.hold()
    since = records.ticket().on_hold_at
    harness.wait(MINUTE)
    with pytest.raises(HoldRefused, match=r"is on hold already, since .* who holds it"):
        harness.hold()
    assert records.ticket().on_hold_at == since
    harness.release_ticket()
    with pytest.raises(HoldRefused, match="is not on hold"):
        harness.release_ticket()


@pytest.mark.usefixtures("win")
def test_a_closed_ticket_is_held_while_something_is_to_be_sent(harness):
    harness.deliver()
    harness.wait(CLOSE_DELAY)
    harness.close_due()
    assert harness.hold().unfinished == 1
    assert harness.claim() == []

    harness.release_ticket()
    assert harness.deliver() == [("T", "ticket_closed")]
    with pytest.raises(HoldRefused, match="is closed and nothing of it is left to be sent"):
        harness.hold()


# --- what is kept ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("win")
def test_who_held_and_released_it_and_why_is_recorded(harness, records, engine):
    held_at = harness.now
    harness.hold()
    harness.wait(MINUTE)
    harness.release_ticket()

    with engine.begin() as connection:
        rows = connection.execute(INTERVENTIONS).all()
    who = (HOLDER.who, HOLDER.why)
    of = ("acme", records.ticket().id)
    assert [(row.at, row.who, row.why, row.did, row.operator, row.ticket) for row in rows] == [
        (held_at, *who, "ticket_held", *of),
        (harness.now, *who, "ticket_released", *of),
    ]
    assert rows[0].facts == {"status": "resulted/won", "unfinished": 1}


@pytest.mark.parametrize("end", ["closed", "cancelled"])
def test_a_ticket_on_hold_stays_beyond_the_retention(harness, records, engine, end):
    if end == "closed":
        harness.say("ticket_win")
        harness.deliver()
        harness.wait(CLOSE_DELAY)
        harness.close_due()
    else:
        harness.say("ticket_discard")
    last = harness.claim_one()
    harness.hold()
    harness.record(last)  # nothing is unfinished any more
    harness.wait(100 * DAY)

    def removed() -> int:
        with engine.begin() as connection:
            return remove_expired(connection, before=harness.now - DAY, limit=10)

    assert (removed(), records.tickets()) == (0, ["T"])
    harness.release_ticket()
    assert (removed(), records.tickets()) == (1, [])
