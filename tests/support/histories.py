"""Runs state machines of Hypothesis on a database: any acts, in any order."""

from collections.abc import Sequence
from typing import ClassVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test
from sqlalchemy import Engine

from tests.support.searches import examples as drawn


class History(RuleBasedStateMachine):
    """A machine that acts on a database."""

    engine: ClassVar[Engine]  # while `run_history` runs it


def run_history(
    history: type[History],
    engine: Engine,
    *,
    examples: int,
    steps: int = 40,
    phases: Sequence[Phase] = tuple(Phase),
) -> None:
    """Let *history* happen so many times in a search, each with up to so many steps."""
    history.engine = engine
    try:
        run_state_machine_as_test(
            history,
            settings=settings(
                max_examples=drawn(examples),
                stateful_step_count=steps,
                phases=phases,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        del history.engine
