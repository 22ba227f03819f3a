"""What became of a load, by the event log, the outbox and the partner's ledger."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import TextClause, text

from producers.simulation.backends import PublishedSoFar
from producers.simulation.verdict import accepted_actions, check_all_sequences
from tests.faults.one_of_each import CLOSE_DELAY, Trial
from tests.faults.reconciliation import asking

EVENT_IDS: Final = text("SELECT event_id FROM ticket_event")
UNDECIDED: Final = text("SELECT count(*) FROM ticket_event WHERE outcome IN ('parked', 'rejected')")
# Events of a ticket that were applied in another order: what came too late is not sent any more.
OVERTAKEN: Final = text("""
    SELECT event_id FROM ticket_event WHERE outcome IN ('superseded', 'confirmed')
     UNION SELECT event_id FROM notice WHERE ended = 'withdrawn'""")
REFUSED: Final = text("SELECT count(*) FROM rejected_input")
UNTOLD: Final = text("SELECT count(*) FROM notice WHERE ended IS NULL")
DEAD: Final = text("SELECT count(*) FROM notice WHERE ended = 'dead'")
OVERDUE: Final = text("""
    SELECT count(*) FROM ticket WHERE close_due_at < clock_timestamp() - interval '5 s'""")


@dataclass(frozen=True, slots=True)
class Rows:
    """What the database says is not as it should be."""

    lost: int  # published, confirmed, and not in the event log
    refused: int  # rejected, parked, or not understood
    untold: int  # notices on their way
    dead: int  # notices given up
    overdue: int  # closings


@dataclass(frozen=True, slots=True)
class Settled:
    """What is not as it should be: nothing, when nothing is lost and all is done."""

    rows: Rows
    out_of_order: tuple[str, ...]  # tickets whose partner did not take what was due, in order
    illegal: tuple[str, ...]


NOTHING_LEFT: Final = Rows(0, 0, 0, 0, 0)
ALL_WELL: Final = Settled(NOTHING_LEFT, (), ())


def is_well(trial: Trial, account: PublishedSoFar) -> bool:
    """Nothing of *account* is lost or left to do, and all notices went out in order."""
    if _rows(trial, account) != NOTHING_LEFT:  # asked often: the ledger is long
        return False
    return settled(trial, account) == ALL_WELL


def settled(trial: Trial, account: PublishedSoFar) -> Settled:
    """Compare *account* with what the database and the partner say at the moment."""
    ledger = trial.partner.ledger.entries()
    return Settled(
        rows=_rows(trial, account),
        out_of_order=_out_of_order(account, accepted_actions(ledger), _overtaken(trial)),
        illegal=check_all_sequences(ledger, close_delay=CLOSE_DELAY, complete=False).violations,
    )


def _rows(trial: Trial, account: PublishedSoFar) -> Rows:
    with asking(trial.servers.database_url) as connection:
        logged = set(connection.execute(EVENT_IDS).scalars())

        def number(question: TextClause) -> int:
            return int(connection.execute(question).scalar_one())

        return Rows(
            lost=sum(event["event_id"] not in logged for event in account.events),
            refused=number(UNDECIDED) + number(REFUSED),
            untold=number(UNTOLD),
            dead=number(DEAD),
            overdue=number(OVERDUE),
        )


def _overtaken(trial: Trial) -> set[str]:
    with asking(trial.servers.database_url) as connection:
        return set(connection.execute(OVERTAKEN).scalars())


def _out_of_order(
    account: PublishedSoFar, taken: dict[tuple[str, str], tuple[str, ...]], overtaken: set[str]
) -> tuple[str, ...]:
    published: dict[tuple[str, str], list[str]] = {}
    for event in account.events:
        ticket = (str(event["data"]["operator"]), str(event["data"]["ticket_id"]))
        published.setdefault(ticket, [])
        # The partner brought the opening about itself.
        if event["action"] != "ticket_open" and event["event_id"] not in overtaken:
            published[ticket].append(event["action"])
    return tuple(
        f"{'/'.join(ticket)}: published {actions}, taken {list(taken.get(ticket, ()))}"
        for ticket, actions in published.items()
        if [action for action in taken.get(ticket, ()) if action != "ticket_closed"] != actions
    )
