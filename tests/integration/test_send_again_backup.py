"""What sending again is for: a partner restores a backup and catches up (rule 22)."""

from datetime import timedelta

import pytest

from models.outbox.send_again import send_again
from producers.simulation.sequence_rules import AcceptedAction, check_sequence
from tests.support.harness import AMOUNTS, CLOSE_DELAY

HOUR = timedelta(hours=1)


@pytest.mark.parametrize("lost_from", [1, 2, 3, 4, 5, 6])
def test_a_partner_that_restored_a_backup_ends_where_the_ticket_stands(harness, records, lost_from):
    """Its state is what it had before the backup, and then what it is sent: a whole life."""
    known: list[AcceptedAction] = []

    def deliver_all() -> None:
        while taken := harness.deliver():
            known.extend(AcceptedAction(action, harness.now) for _, action in taken)

    for action in ("win", "rollback", "lost", "rollback", "void"):
        harness.say(f"ticket_{action}", **(AMOUNTS if action == "void" else {}))
        deliver_all()
        harness.wait(HOUR)
    harness.wait(CLOSE_DELAY)
    harness.close_due()
    deliver_all()
    whole = [action.action for action in known]

    del known[lost_from - 1 :]
    with harness.engine.begin() as connection:
        send_again(connection, records.notice(lost_from).id, now=harness.now)
    deliver_all()

    assert [action.action for action in known] == whole
    assert check_sequence(known, close_delay=timedelta(0)) == ()
    assert records.standing() == "closed/void"
