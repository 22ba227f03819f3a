"""When a deliverer gives a partner up: so many of its attempts in a row have led to nothing.

Counted by each process for itself: a partner that fails now and then costs no write, and no two
deliverers wait for each other because of it. Only that one gave up is told to all (its circuit).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from models.outbox.causes import LAST_PROBLEM, NO_DETAILS
from models.outbox.circuit import is_about_one_ticket
from models.outbox.values import Attempt, Delivered

TROUBLES_MAX: Final = 20  # less than a lane of 32 calls that hang: one timeout is enough


@dataclass(frozen=True, slots=True)
class FailureStreaks:
    """Attempts in a row that led to nothing, by operator; none is kept of those that are well."""

    counts: Mapping[int, int] = field(default_factory=dict)
    given_up: Mapping[int, str] = field(default_factory=dict)  # with the reason

    def after(self, attempts: Iterable[Attempt]) -> "FailureStreaks":
        """Count *attempts*, in their order. Who is given up starts anew.

        A refusal is an answer too: whether it is believed is the circuit's business. A refused
        create, reserve or discard proves that the partner answers, and no more.
        """
        counts, last = Counter(self.counts), {}
        for one in attempts:
            operator = one.claim.operator
            if isinstance(one.verdict, Delivered) or is_about_one_ticket(one):
                counts.pop(operator, None)
            else:
                counts[operator] += 1
                last[operator] = one.problem or NO_DETAILS
        given_up = {
            operator: f"{count} attempts in a row led to nothing{LAST_PROBLEM}{last[operator]}"
            for operator, count in counts.items()
            if count >= TROUBLES_MAX
        }
        return FailureStreaks(
            {one: n for one, n in counts.items() if one not in given_up}, given_up
        )
