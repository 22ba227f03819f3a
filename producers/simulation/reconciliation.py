"""Counts on both sides: what backends published against what the partner took."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from producers.publisher import OutgoingEvent
from producers.simulation.sequence_rules import RESULTS
from producers.simulation.verdict import WORDS_MAX, Received, sequences

NOT_TOLD = frozenset({"ticket_open", "ticket_paid"})  # the partner brought these about itself
SENT_ONCE = frozenset({"ticket_create", "ticket_reserve"})


@dataclass(frozen=True, slots=True)
class Reckoning:
    """Each published ticket is in exactly one of the first five counts."""

    complete: int  # the partner took every step, and the close
    shortened: int  # overtaken results and rollbacks are missing, the end is right: allowed
    cancelled: int  # its create or reserve was not taken, or not heard of, and then discarded
    wrong: int  # the last result differs, or its close is missing or too much
    missing: int  # the partner took nothing of it
    unexpected: int  # tickets that the partner took and nobody published
    words: tuple[str, ...]  # the first tickets that are wrong, missing or unexpected

    @property
    def balanced(self) -> bool:
        """Nothing lost, nothing invented, every ticket ended as its backend said."""
        return not (self.wrong or self.missing or self.unexpected)


def reckon(published: Iterable[OutgoingEvent], received: Sequence[Received]) -> Reckoning:
    """Compare *published* (in the order told, each ticket ending with a result) with *received*.

    For PAM partners that took everything: each sequence should be the ticket's actions without
    `ticket_open` and `ticket_paid`, then `ticket_closed`. Where events of one ticket were applied
    out of order, overtaken steps may legally be missing. After a create that failed
    the discard is all that may follow.
    """
    expected: dict[tuple[str, str], list[str]] = {}
    for told in published:
        name = (str(told["data"]["operator"]), str(told["data"]["ticket_id"]))
        expected.setdefault(name, [])
        if told["action"] not in NOT_TOLD:
            expected[name].append(told["action"])
    taken = sequences(received)
    counts = {"complete": 0, "shortened": 0, "cancelled": 0, "wrong": 0, "missing": 0}
    words = []
    for name, actions in expected.items():
        closing = ["ticket_closed"] if actions and actions[-1] in RESULTS else []
        kind = _compare([*actions, *closing], taken.get(name, ()))
        counts[kind] += 1
        if kind in {"wrong", "missing"}:
            words.append(f"{'/'.join(name)}: told {actions}, taken {list(taken.get(name, ()))}")
    unexpected = [name for name, actions in taken.items() if actions and name not in expected]
    words += [f"{'/'.join(name)}: taken {list(taken[name])}, never told" for name in unexpected]
    return Reckoning(**counts, unexpected=len(unexpected), words=tuple(words[:WORDS_MAX]))


def _compare(expected: Sequence[str], taken: Sequence[str]) -> str:
    if list(taken) == list(expected):
        return "complete"
    if not taken:
        return "missing"
    if SENT_ONCE.intersection(expected[:1]) and taken[-1] == "ticket_discard":
        before = [action for action in taken if action != "ticket_discard"]
        return "cancelled" if before in ([], [expected[0]]) else "wrong"
    ending = [action for action in expected if action != "ticket_rollback"][-2:]
    return "shortened" if list(taken[-2:]) == ending else "wrong"
