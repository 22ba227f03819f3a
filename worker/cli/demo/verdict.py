"""The verdict: computed from what was published, what the partners received, and the database."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Final

from producers.publisher import OutgoingEvent
from producers.simulation.partner import LedgerEntry
from producers.simulation.reconciliation import Reconciliation, reconcile
from producers.simulation.sequence_rules import RESULTS
from producers.simulation.verdict import Verdict, accepted_actions, check_all_sequences
from worker.cli.demo.database_stats import DemoCounts

VIOLATIONS_MAX: Final = 20
ROLLED_BACK: Final = "rolled back to another result"


@dataclass(frozen=True, slots=True)
class Check:
    """One promise, whether it was kept, and the numbers that show it."""

    promise: str
    kept: bool
    numbers: str


@dataclass(frozen=True, slots=True)
class DemoVerdict:
    """The verdict of the whole demo. *violations* describe the first ones."""

    kept: bool
    checks: tuple[Check, ...]
    lives: Mapping[str, int]  # how many tickets ended or went which way
    violations: tuple[str, ...]
    partners: Verdict
    reconciliation: Reconciliation
    counts: DemoCounts
    seconds: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known at the end."""

    published: Sequence[OutgoingEvent]
    received: Sequence[LedgerEntry]  # by all partners
    counts: DemoCounts
    left_on_stream: int
    exits: Sequence[str]  # of processes, described
    close_delay: timedelta
    seconds: float


def judge_demo(evidence: Evidence) -> DemoVerdict:
    """Decide from the evidence alone; the same evidence gives the same verdict."""
    partners = check_all_sequences(evidence.received, close_delay=evidence.close_delay)
    reconciliation = reconcile(evidence.published, evidence.received)
    checks = tuple(_checks(evidence, partners, reconciliation))
    broken = [f"{check.promise}: {check.numbers}" for check in checks if not check.kept]
    violations = [*broken, *partners.violations, *reconciliation.discrepancies, *evidence.exits]
    return DemoVerdict(
        kept=not broken,
        checks=checks,
        lives=_lives(evidence.received),
        violations=tuple(violations[:VIOLATIONS_MAX]) if broken else (),
        partners=partners,
        reconciliation=reconciliation,
        counts=evidence.counts,
        seconds=round(evidence.seconds, 1),
    )


def _checks(
    evidence: Evidence, partners: Verdict, reconciliation: Reconciliation
) -> Iterator[Check]:
    published = len(evidence.published)
    tickets = len({_ticket_of(event) for event in evidence.published})
    counts = evidence.counts
    applied = counts.events.get("applied", 0)
    yield Check(
        "every published event was applied",
        published > 0
        and counts.events == {"applied": published}
        and not (counts.unreadable or evidence.left_on_stream),
        f"{published:,} published, {applied:,} applied, {evidence.left_on_stream} left",
    )
    wrong = partners.illegal + partners.changed_repeats + partners.unsigned
    yield Check(
        "every partner received a valid sequence, and every notice was signed",
        wrong == 0,
        f"{partners.tickets:,} tickets checked, {wrong} violations",
    )
    yield Check(
        "every final result was followed by exactly one ticket_closed",
        partners.missing_close == 0 and partners.closed == tickets == counts.tickets.get("closed"),
        f"{tickets:,} tickets, {partners.closed:,} closings",
    )
    yield Check(
        f"no ticket_closed before {evidence.close_delay.total_seconds():g} s had passed",
        partners.early == 0,
        f"{partners.early} early",
    )
    after_rollback = _closed_after_rollback(evidence.received)
    yield Check(
        "no ticket_closed after a rollback",
        after_rollback == 0,
        f"{partners.rollbacks:,} rollbacks, {after_rollback} closings after one",
    )
    taken = partners.results + partners.rollbacks + partners.closed
    yield Check(
        "the counts agree on both sides",
        reconciliation.balanced and counts.undelivered == 0 and counts.delivered == taken,
        f"{counts.delivered:,} notices sent, {taken:,} taken,"
        f" {reconciliation.missing} tickets missing",
    )


def _closed_after_rollback(received: Sequence[LedgerEntry]) -> int:
    return sum(
        ("ticket_rollback", "ticket_closed") in pairwise(actions)
        for actions in accepted_actions(received).values()
    )


def _lives(received: Sequence[LedgerEntry]) -> dict[str, int]:
    """Count the tickets by their last result, and those that had another result before."""
    lives: Counter[str] = Counter()
    for actions in accepted_actions(received).values():
        results = [action for action in actions if action in RESULTS]
        if results:
            lives[results[-1].removeprefix("ticket_")] += 1
        lives[ROLLED_BACK] += len(set(results)) > 1
    return dict(lives)


def _ticket_of(event: OutgoingEvent) -> tuple[object, object]:
    return event["data"]["operator"], event["data"]["ticket_id"]
