"""Compares what backends published with what the partner accepted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from producers.publisher import OutgoingEvent
from producers.simulation.sequence_rules import RESULTS
from producers.simulation.verdict import MESSAGES_MAX, ReceivedNotice, accepted_actions

ACTIONS_WITHOUT_NOTICE = frozenset(
    {"ticket_open", "ticket_paid"}
)  # the partner caused these itself
SENT_ONCE = frozenset({"ticket_create", "ticket_reserve"})


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Each published ticket is in exactly one of the first five counts."""

    complete: int  # the partner accepted every step and the close
    shortened: int  # superseded results and rollbacks are missing, the end is right: allowed
    cancelled: int  # its create or reserve was not accepted, or not received, and then discarded
    wrong: int  # the last result differs, or its close is missing or unexpected
    missing: int  # the partner accepted nothing of it
    unexpected: int  # tickets that the partner accepted and no backend published
    discrepancies: tuple[str, ...]  # the first tickets that are wrong, missing or unexpected

    @property
    def balanced(self) -> bool:
        """Whether nothing is lost or unexpected, and every ticket ended as published."""
        return not (self.wrong or self.missing or self.unexpected)


def reconcile(
    published: Iterable[OutgoingEvent], received: Sequence[ReceivedNotice]
) -> Reconciliation:
    """Compare *published* (in order, each ticket ending with a result) with *received*.

    For PAM partners that accepted everything: each sequence should be the ticket's actions without
    `ticket_open` and `ticket_paid`, then `ticket_closed`. If events of one ticket were applied out
    of order, superseded steps may be missing. After a failed create only the discard may follow.
    """
    expected: dict[tuple[str, str], list[str]] = {}
    for event in published:
        name = (str(event["data"]["operator"]), str(event["data"]["ticket_id"]))
        expected.setdefault(name, [])
        if event["action"] not in ACTIONS_WITHOUT_NOTICE:
            expected[name].append(event["action"])
    accepted = accepted_actions(received)
    counts = {"complete": 0, "shortened": 0, "cancelled": 0, "wrong": 0, "missing": 0}
    discrepancies = []
    for name, actions in expected.items():
        closing = ["ticket_closed"] if actions and actions[-1] in RESULTS else []
        kind = _compare([*actions, *closing], accepted.get(name, ()))
        counts[kind] += 1
        if kind in {"wrong", "missing"}:
            discrepancies.append(
                f"{'/'.join(name)}: published {actions}, accepted {list(accepted.get(name, ()))}"
            )
    unexpected = [name for name, actions in accepted.items() if actions and name not in expected]
    discrepancies += [
        f"{'/'.join(name)}: accepted {list(accepted[name])}, never published" for name in unexpected
    ]
    return Reconciliation(
        **counts, unexpected=len(unexpected), discrepancies=tuple(discrepancies[:MESSAGES_MAX])
    )


def _compare(expected: Sequence[str], accepted: Sequence[str]) -> str:
    if list(accepted) == list(expected):
        return "complete"
    if not accepted:
        return "missing"
    if SENT_ONCE.intersection(expected[:1]) and accepted[-1] == "ticket_discard":
        before = [action for action in accepted if action != "ticket_discard"]
        return "cancelled" if before in ([], [expected[0]]) else "wrong"
    ending = [action for action in expected if action != "ticket_rollback"][-2:]
    return "shortened" if list(accepted[-2:]) == ending else "wrong"
