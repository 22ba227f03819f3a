"""The end of a partnership (rule 24): nothing is sent or applied, and every ticket ends."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from models.monitoring.operators import operator_health
from models.monitoring.stats import collect_stats
from models.operators import OperatorEnded
from models.operators.partners import enabled_partners, find_partner
from models.outbox.claim import LeaseTerms, claim_probes
from models.outbox.send_again import send_again
from models.outbox.values import Attempt, Dead, Delivered, RetryLater, Unanswered
from models.partnerships.tickets import end_tickets
from models.sweeps.retention import remove_expired
from models.ticket_import.insert import import_tickets
from models.ticket_import.ticket_line import read_line
from models.triage import HoldRefused, NotPossible, Resolution, hold_ticket
from models.vocabulary import Reason
from tests.support.harness import CLOSE_DELAY, LEASE, PARKING_WINDOW, PERSON, SLIP, TOOK
from tests.support.triage_actions import TriageActions
from worker.doctor.partners import read_operators

GONE = Dead("410 Gone")
LATER = RetryLater(timedelta(minutes=5))
RETENTION = timedelta(days=90)
OPEN_TICKET = {"operator": "acme", "ticket_id": "I", "state": "open"}
LATEST_INTERVENTION = text("SELECT * FROM intervention ORDER BY id DESC LIMIT 1")


def end(harness) -> None:
    """End the partnership, and all its tickets."""
    harness.end_partnership()
    while harness.end_tickets(limit=2):
        pass


def reserve(harness) -> None:
    harness.say("ticket_reserve", **SLIP)
    harness.deliver()


def park(harness) -> None:
    """An open ticket with a rollback that waits for its result."""
    harness.say("ticket_open")
    harness.say("ticket_rollback")


def die(harness) -> None:
    """A dead result that holds back its rollback and the next result."""
    harness.say("ticket_win")
    harness.deliver(GONE)
    harness.say("ticket_rollback")
    harness.say("ticket_lost")


def doubt(harness) -> None:
    """A cancelled ticket whose discard is still to be sent."""
    harness.say("ticket_create", **SLIP)
    harness.deliver(Unanswered(timedelta(seconds=10)))


def close_untold(harness) -> None:
    """A closed ticket whose closing the partner has not taken."""
    harness.say("ticket_win")
    harness.deliver()
    harness.wait(CLOSE_DELAY)
    harness.close_due()
    harness.deliver(LATER)


def close_and_hold(harness) -> None:
    """A closed ticket on hold, which has no head (rule 23)."""
    close_untold(harness)
    harness.hold()


# What has happened to the ticket, where it stands then, and where the end leaves it.
LIVES = {
    "its create is unsent": (
        lambda harness: harness.say("ticket_create", **SLIP),
        *("new/pending", "cancelled/pending"),
    ),
    "reserved": (reserve, "reserved/pending", "cancelled/pending"),
    "open without a result": (
        lambda harness: harness.say("ticket_open"),
        *("open/pending", "cancelled/pending"),
    ),
    "open, a rollback parked": (park, "open/pending", "cancelled/pending"),
    "its win unsent": (
        lambda harness: harness.say("ticket_win"),
        *("resulted/won", "closed/won"),
    ),
    "its win dead": (die, "resulted/lost", "closed/lost"),
    "a discard to be sent": (doubt, "cancelled/pending", "cancelled/pending"),
    "closed, the notice to be sent": (close_untold, "closed/won", "closed/won"),
    "closed, the notice held": (close_and_hold, "closed/won", "closed/won"),
    "never opened": (
        lambda harness: harness.say("ticket_rollback"),
        *("absent/pending", "absent/pending"),
    ),
}


@pytest.mark.parametrize(("live", "before", "after"), LIVES.values(), ids=LIVES)
def test_a_ticket_ends_whatever_has_happened_and_leaves_with_retention(
    harness, records, engine, live, before, after
):
    live(harness)
    assert records.standing() == before
    end(harness)

    ticket = records.ticket()
    assert records.standing() == after
    assert (ticket.unfinished, ticket.parked, ticket.close_due_at) == (0, 0, None)
    assert all(notice.ended not in {None, "dead"} for notice in records.notices())
    harness.wait(timedelta(days=1))
    assert harness.claim() == []
    with engine.begin() as connection:
        remove_expired(connection, before=harness.now + RETENTION, limit=10)
    assert records.tickets() == []


def test_what_is_undelivered_ends_as_skipped_with_the_reason(harness, records):
    die(harness)
    end(harness)

    ends = [(notice.ended, notice.reason, notice.head) for notice in records.notices()]
    assert ends == [("skipped", "partner_ended", False)] * 3


def test_what_is_parked_ends_as_rejected_with_the_reason(harness, records):
    park(harness)
    end(harness)

    parked = records.events()[-1]
    assert (parked.outcome, parked.reason) == ("rejected", "operator_ended")
    assert (parked.status_before, parked.status_after, parked.park_until) == (
        *("open", "open"),
        None,
    )
    assert records.ticket().cancelled_by == "the end of the partnership with its operator"


def test_it_ends_what_an_open_circuit_holds_and_nothing_is_probed(harness, records, engine):
    harness.say("ticket_win")
    claim = harness.claim_one()
    with engine.begin() as connection:
        connection.execute(
            text("""INSERT INTO circuit (operator, opened_at, reason, probe_at)
                    VALUES (:operator, :now, '503', :now)
                    ON CONFLICT (operator) DO UPDATE
                       SET opened_at = :now, closed_at = NULL, reason = '503', probe_at = :now"""),
            {"operator": claim.operator, "now": harness.now},
        )
    harness.record(claim, LATER)
    harness.end_partnership()
    harness.wait(LEASE)
    with engine.begin() as connection:
        probes = claim_probes(
            connection,
            now=harness.now,
            lease=LeaseTerms(LEASE, timedelta()),
            youngest={claim.operator: False},
        )
    assert probes == []
    assert harness.claim() == []
    while harness.end_tickets():
        pass

    assert records.notice(1).ended == "skipped"


@pytest.mark.parametrize(
    "verdict", [Delivered(), LATER, GONE, Unanswered(timedelta(seconds=30))], ids=repr
)
def test_a_call_under_way_is_kept_as_an_attempt_and_changes_nothing(harness, records, verdict):
    """H49."""
    harness.say("ticket_win")
    claim = harness.claim_one()
    end(harness)
    before = records.ticket(), records.notices()
    harness.record(claim, verdict)

    assert (records.ticket(), records.notices()) == before
    notice = records.notice(1)
    assert (notice.ended, notice.perhaps_delivered) == ("skipped", True)
    assert [attempt.verdict for attempt in records.attempts()] == [verdict.word]


def test_a_success_before_its_ticket_is_ended_counts(harness, records):
    """Rule 14 holds until the notice is skipped; the clock it starts is not waited for."""
    harness.say("ticket_win")
    claim = harness.claim_one()
    harness.end_partnership()
    harness.record(claim)
    assert records.notice(1).ended == "delivered"
    harness.end_tickets()

    assert records.standing() == "closed/won"
    assert (records.ticket().close_due_at, records.notice_actions()) == (None, ["ticket_win"])


def test_a_late_create_opens_nothing(harness, records):
    harness.say("ticket_create", **SLIP)
    claim = harness.claim_one()
    harness.end_partnership()
    harness.end_tickets()
    harness.record_attempts(Attempt(claim, Delivered(), TOOK, http_status=200))

    assert records.standing() == "cancelled/pending"
    assert records.notice_actions() == ["ticket_create"]


def test_the_sweep_closes_without_a_notice_before_the_batch_comes(harness, records):
    harness.say("ticket_win")
    harness.deliver()
    harness.wait(CLOSE_DELAY)
    harness.end_partnership()

    assert harness.close_due() == 1
    assert records.standing() == "closed/won"
    assert records.notice_actions() == ["ticket_win"]


# --- events ---------------------------------------------------------------------------------------


def test_an_event_of_a_known_ticket_is_rejected_in_its_log_and_a_repeat_stays_one(harness, records):
    first = harness.event("ticket_win", event_id="e")
    harness.publish(first)
    harness.end_partnership()
    outcomes = harness.publish(first, harness.event("ticket_rollback", event_id="r")).outcomes

    assert outcomes == {("ticket_win", "duplicate"): 1, ("ticket_rollback", "rejected"): 1}
    assert records.event("r").reason == "operator_ended"
    assert records.standing() == "resulted/won"


def test_an_event_without_a_ticket_is_rejected_input_and_begins_none(harness, records):
    harness.add_operator("other")
    harness.end_partnership()
    applied = harness.publish(
        harness.event("ticket_win", "U"), harness.event("ticket_win", "U", operator="other")
    )

    assert applied.rejected == {(Reason.OPERATOR_ENDED, "stream"): 1}
    (refused,) = records.rejected()
    assert (refused.reason, refused.ticket_id) == ("operator_ended", "U")
    assert "ended at" in refused.message
    assert len(records.tickets()) == 1


def test_what_is_parked_is_rejected_as_soon_as_its_ticket_is_decided(harness, records):
    park(harness)
    harness.end_partnership()
    harness.wait(PARKING_WINDOW)
    harness.end_windows()

    assert records.events()[-1].reason == "operator_ended"


# --- people ---------------------------------------------------------------------------------------


def test_it_is_recorded_with_what_there_was(harness, records, engine):
    die(harness)
    harness.say("ticket_win", "U")
    claim = harness.claim_one()
    ended = harness.end_partnership()

    assert claim.ticket_id == "U"
    counts = {"tickets": 2, "waiting": 1, "in_flight": 1, "dead": 1}
    assert ended.counts.as_facts() == counts
    with engine.begin() as connection:
        row = connection.execute(LATEST_INTERVENTION).one()
    assert (row.did, row.operator, row.who, row.why) == (
        *("partnership_ended", "acme", PERSON.who),
        PERSON.why,
    )
    assert row.facts == counts


def test_it_ends_once(harness):
    harness.end_partnership()
    with pytest.raises(OperatorEnded, match=r"ended at .*that is final"):
        harness.end_partnership()


def test_a_dead_notice_is_not_retried(harness, records):
    die(harness)
    harness.end_partnership()
    with pytest.raises(NotPossible, match="ended at"):
        TriageActions(harness, records).resolve(records.notice(1).id, Resolution.RETRY)


def test_no_ticket_is_put_on_hold_and_a_held_one_ends(harness, records, engine):
    """Rule 23: one on hold has no head, by which it would be found."""
    close_untold(harness)
    with engine.begin() as connection:
        hold_ticket(connection, "acme", "T", person=PERSON, now=harness.now)
    harness.say("ticket_open", "U")
    harness.end_partnership()
    with engine.begin() as connection, pytest.raises(HoldRefused, match="ends with its partner"):
        hold_ticket(connection, "acme", "U", person=PERSON, now=harness.now)
    while harness.end_tickets():
        pass

    assert records.notices()[-1].reason == "partner_ended"
    assert records.ticket().on_hold_at is None


def test_nothing_is_sent_again(harness, records, engine):
    """Rule 22, also while something is unfinished: that would be waited for without end."""
    harness.say("ticket_win")
    harness.deliver()
    harness.say("ticket_rollback")
    harness.end_partnership()
    with engine.begin() as connection, pytest.raises(NotPossible, match="nothing is sent again"):
        send_again(connection, records.notice(1).id, now=harness.now)


# --- who is watched, and who is sent to -----------------------------------------------------------


def test_monitoring_and_deliverers_know_it_no_more(harness, engine):
    """So no alert fires for it, and no deliverer keeps its secret."""
    harness.add_operator("other")
    die(harness)
    harness.end_partnership()
    with engine.begin() as connection:
        watched = [
            operator.code for operator in collect_stats(connection, now=harness.now).operators
        ]
        listed = [health.code for health in operator_health(connection, now=harness.now)]
        (named,) = operator_health(connection, now=harness.now, code="acme")
        sent_to = [partner.code for partner in enabled_partners(connection, now=harness.now)]
        checked = [operator.code for operator in read_operators(connection)]
        with pytest.raises(OperatorEnded):
            find_partner(connection, "acme", now=harness.now)

    assert watched == listed == sent_to == checked == ["other"]
    assert named.ended_at == harness.now


def test_nothing_is_imported_for_it(harness, engine):
    harness.end_partnership()
    ticket = read_line(OPEN_TICKET)
    with engine.begin() as connection:
        result = import_tickets(
            connection, [ticket], person=PERSON, now=harness.now, parking_window=PARKING_WINDOW
        )

    assert (result.imported, result.refused[0].reason) == (0, Reason.OPERATOR_ENDED)


# --- batches --------------------------------------------------------------------------------------


def test_it_goes_on_where_a_batch_died(harness, records, engine):
    for number in range(5):
        harness.say("ticket_win", f"T{number}")
    operator = harness.end_partnership().operator
    with engine.connect() as connection:
        assert end_tickets(connection, operator, now=harness.now, limit=3).tickets == 3
        connection.rollback()

    assert [harness.end_tickets(limit=3) for _ in range(3)] == [3, 2, 0]
    assert {records.standing(ticket) for ticket in records.tickets()} == {"closed/won"}


def test_only_its_own_tickets_end(harness, records):
    harness.add_operator("other")
    harness.say("ticket_win", operator="other")
    end(harness)

    assert records.standing(operator="other") == "resulted/won"
    assert harness.deliver() == [("T", "ticket_win")]


def test_a_batch_continues_behind_what_was_found_and_misses_nothing(harness, engine):
    for number in range(5):
        harness.say("ticket_open", f"T{number}")
    operator = harness.end_partnership().operator
    after: int | None = 0
    ended = []
    while after is not None:
        with engine.begin() as connection:
            batch = end_tickets(connection, operator, now=harness.now, limit=2, after=after)
        ended.append(batch.tickets)
        after = batch.last

    assert ended == [2, 2, 1, 0]
