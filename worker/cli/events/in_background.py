"""Retries or drops events by a job: `--background`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from models.vocabulary import Outcome
from worker.cli.events.targets import find_named
from worker.cli.jobs.start import start_in_background
from worker.cli.triage.options import BackgroundOptions, ChangeOptions, EventSelectionOptions
from worker.cli.triage.session import open_session, selection_at


def retry(
    outcome: Outcome,
    ids: Sequence[str],
    selection: EventSelectionOptions,
    background: BackgroundOptions,
    change: ChangeOptions,
    *,
    as_now: bool = False,
) -> None:
    """Start a job that decides events again."""
    how = {"as_now": True} if as_now else {}
    announced = f"{outcome} events will be decided again, oldest first"
    _start("retry_events", announced, outcome, how, ids, selection, background, change)


def drop(
    outcome: Outcome,
    ids: Sequence[str],
    selection: EventSelectionOptions,
    background: BackgroundOptions,
    change: ChangeOptions,
) -> None:
    """Start a job that drops events."""
    announced = f"{outcome} events will be dropped"
    _start("drop_events", announced, outcome, {}, ids, selection, background, change)


def _start(
    kind: str,
    announcement: str,
    outcome: Outcome,
    how: dict[str, Any],
    ids: Sequence[str],
    selection: EventSelectionOptions,
    background: BackgroundOptions,
    change: ChangeOptions,
) -> None:
    selection.check(ids)

    def chosen(connection: Connection, now: datetime) -> dict[str, Any]:
        if not ids:
            return selection_at(selection, now).arguments
        targets = find_named(connection, outcome, ids, selection)
        return {
            "keys": [[key.ticket, key.event_id] for key in targets.events],
            "entries": list(targets.raw),
        }

    with open_session() as session:
        settings = {
            "window": session.window.total_seconds(),
            "age_max": session.age_max.total_seconds(),
        }
        start_in_background(
            session,
            kind,
            {"outcome": outcome.value, **settings, **how, **session.run(chosen)},
            announcement=announcement,
            change=change,
            background=background,
        )
