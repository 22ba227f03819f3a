"""Shows the progress of a job until it has ended."""

import time
from datetime import datetime
from functools import partial
from typing import Final

from rich.progress import BarColumn, Progress, TextColumn
from sqlalchemy import Connection

from models.jobs import Job, find_job
from worker.cli.output import console, remark
from worker.cli.triage.session import CommandSession

_LOOK_EVERY: Final = 0.5  # seconds
_STALLED_AFTER: Final = 60.0  # seconds without a batch


def follow_job(session: CommandSession, job: Job, *, stalled: str) -> Job:
    """Show the job's progress until it has ended. An interrupt leaves the job to the sweep.

    *stalled* is remarked whenever nothing was handled for a minute, with the job's own message.
    """
    screen = console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn())
    with Progress(
        *columns, console=screen, transient=True, disable=not screen.is_terminal
    ) as progress:
        bar = progress.add_task("", total=job.expected.number if job.expected.exact else None)
        moved_at, handled = time.monotonic(), job.handled
        while not job.has_ended:
            progress.update(
                bar, completed=job.handled, description=f"{job.handled:,} of {job.expected}"
            )
            time.sleep(_LOOK_EVERY)
            job = session.run(partial(_look, job.id))
            if job.handled != handled:
                moved_at, handled = time.monotonic(), job.handled
            elif time.monotonic() - moved_at >= _STALLED_AFTER:
                remark(stalled if job.message is None else job.message)
                moved_at = time.monotonic()
    return job


def _look(job_id: int, connection: Connection, _now: datetime) -> Job:
    return find_job(connection, job_id)
