"""Resolves dead notices by a job: `--background`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from models.outbox.dead_letters import Resolution
from models.triage import WILL_RESOLVE_MANY
from worker.cli.errors import WrongUsage
from worker.cli.jobs.start import start_in_background
from worker.cli.triage.options import BackgroundOptions, ChangeOptions, NoticeSelectionOptions
from worker.cli.triage.session import open_session, selection_at


def retry(
    ids: Sequence[int],
    selection: NoticeSelectionOptions,
    background: BackgroundOptions,
    change: ChangeOptions,
) -> None:
    """Start a job that sends dead notices again."""
    _start("retry_notices", Resolution.RETRY, {}, ids, selection, background, change)


def skip(
    ids: Sequence[int],
    selection: NoticeSelectionOptions,
    background: BackgroundOptions,
    change: ChangeOptions,
    *,
    delivered: bool | None,
) -> None:
    """Start a job that skips dead notices. Raises WrongUsage without *delivered* (rule 18)."""
    if delivered is None:
        raise WrongUsage(
            "a skip needs --delivered (the partner has them) or --not-delivered (it does not have"
            " them and never gets them)"
        )
    resolution = Resolution.SKIP_DELIVERED if delivered else Resolution.SKIP_NOT_DELIVERED
    words = {"delivered": delivered}
    _start("skip_notices", resolution, words, ids, selection, background, change)


def _start(
    kind: str,
    resolution: Resolution,
    words: dict[str, Any],
    ids: Sequence[int],
    selection: NoticeSelectionOptions,
    background: BackgroundOptions,
    change: ChangeOptions,
) -> None:
    selection.check(ids)

    def arguments(_: Connection, now: datetime) -> dict[str, Any]:
        return {"ids": list(ids)} if ids else selection_at(selection, now).arguments

    with open_session() as session:
        start_in_background(
            session,
            kind,
            {**session.run(arguments), **words},
            announcement=f"dead notices {WILL_RESOLVE_MANY[resolution]}",
            change=change,
            background=background,
        )
