"""When a deliverer gives a partner up: after this many attempts in a row without success.

Each process counts for itself: a partner that fails now and then costs no write, and no two
deliverers wait for each other because of it. Only the result, an open circuit, is shared.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from models.outbox.causes import LAST_PROBLEM, NO_DETAILS
from models.outbox.circuit import is_about_one_ticket
from models.outbox.values import Attempt, Delivered, TokenTrouble

FAILURES_MAX: Final = 20  # less than the 32 calls in flight of a partner: one timeout is enough


@dataclass(frozen=True, slots=True)
class FailureStreaks:
    """Failed attempts in a row, by operator; a partner without failures has no entry."""

    counts: Mapping[int, int] = field(default_factory=dict)
    to_open: Mapping[int, str] = field(default_factory=dict)  # with the reason

    def after(self, attempts: Collection[Attempt]) -> "FailureStreaks":
        """Return the streaks after *attempts*, in their order. Giving up starts again at 0.

        A refusal is a response too: whether it is believed is up to the circuit. A refused create,
        reserve or discard proves that the partner responds, and no more. A 401 that a new token
        makes up for says nothing.
        """
        if not self.counts and {type(attempt.verdict) for attempt in attempts} <= {Delivered}:
            return FailureStreaks()  # as nearly always
        counts, last = Counter(self.counts), {}
        for attempt in attempts:
            operator = attempt.claim.operator
            if attempt.token_trouble is TokenTrouble.RENEWED:
                continue
            if isinstance(attempt.verdict, Delivered) or is_about_one_ticket(attempt):
                counts.pop(operator, None)
            else:
                counts[operator] += 1
                last[operator] = attempt.problem or NO_DETAILS
        to_open = {
            operator: f"{count} attempts in a row led to nothing{LAST_PROBLEM}{last[operator]}"
            for operator, count in counts.items()
            if count >= FAILURES_MAX
        }
        remaining = {
            operator: count for operator, count in counts.items() if operator not in to_open
        }
        return FailureStreaks(remaining, to_open)
