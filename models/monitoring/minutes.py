"""The attempts of each operator by the minute: stored by the sweep, read for a plot.

A page that read them from the attempts would read millions. A minute is stored once, some time
after its end, when all that was recorded in it is committed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, text

from models.operators.listing import unknown_operator
from models.outbox.attempts import ATTEMPTS
from models.platform.clock import floor_to

MINUTE: Final = timedelta(minutes=1)
SETTLED_AFTER: Final = timedelta(seconds=20)  # longer than a transaction that records attempts
CATCH_UP_MAX: Final = timedelta(hours=6)  # after a pause; what is older stays unknown
KEPT_FOR: Final = timedelta(hours=48)
REMOVED_AT_ONCE: Final = 10  # of each operator
POINTS_MAX: Final = 1_000
_STEPS: Final = tuple(MINUTE * minutes for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 240, 480))

# The row's lock makes sweeps that run at once take turns; one that finds it taken does nothing.
BEGIN: Final = text("INSERT INTO plot_progress (id) VALUES (1) ON CONFLICT (id) DO NOTHING")
_PROGRESS: Final = "SELECT minutes_since, minutes_until FROM plot_progress WHERE id = 1"
PROGRESS: Final = text(_PROGRESS)
LOCK_PROGRESS: Final = text(f"{_PROGRESS} FOR NO KEY UPDATE SKIP LOCKED")
ADVANCE: Final = text("""
    UPDATE plot_progress SET minutes_since = :since, minutes_until = :until WHERE id = 1""")

# Operator by operator, by the indexes `delivery_attempt_recent` and `notice_taken`: what a minute
# holds, and no more.
# The latency is that of requests that were made, as in `models.monitoring.operators`.
STORE_MINUTE: Final = text(f"""
    WITH computed AS (
        SELECT o.id, m.attempts, m.delivered, m.latencies
          FROM operator o CROSS JOIN LATERAL (
               SELECT count(*) AS attempts,
                      count(*) FILTER (WHERE a.verdict = 'delivered') AS delivered,
                      percentile_disc(ARRAY[0.5, 0.99, 1]) WITHIN GROUP (ORDER BY a.took_ms)
                          FILTER (WHERE a.http_status IS NOT NULL OR a.took_ms > 0) AS latencies
                 FROM {ATTEMPTS} a
                WHERE a.operator = o.id AND a.recorded_at >= :minute
                  AND a.recorded_at < CAST(:minute AS timestamptz) + interval '1 minute') m
         WHERE m.attempts > 0)
    INSERT INTO partner_minute (operator, minute, delivered, failed, p50_ms, p99_ms, max_ms)
    SELECT id, :minute, delivered, attempts - delivered, latencies[1], latencies[2], latencies[3]
      FROM computed
        ON CONFLICT (operator, minute) DO UPDATE
       SET delivered = excluded.delivered, failed = excluded.failed, p50_ms = excluded.p50_ms,
           p99_ms = excluded.p99_ms, max_ms = excluded.max_ms""")  # noqa: S608 - a constant
# By the key, operator by operator too: one minute comes, so the few oldest may go.
REMOVE_OLD: Final = text("""
    WITH old AS MATERIALIZED (
        SELECT first.operator, first.minute
          FROM operator o CROSS JOIN LATERAL (
               SELECT operator, minute FROM partner_minute
                WHERE operator = o.id AND minute < :before
                ORDER BY minute LIMIT :limit) first)
    DELETE FROM partner_minute p USING old
     WHERE p.operator = old.operator AND p.minute = old.minute""")

# Percentiles cannot be added up: of a step that holds several minutes, the median of their medians
# (by attempts, each minute counts once) and the worst of the others.
READ: Final = text("""
    SELECT date_bin(:step, minute, :since) AS at,
           sum(delivered) AS delivered, sum(failed) AS failed,
           percentile_disc(0.5) WITHIN GROUP (ORDER BY p50_ms) AS p50_ms, max(p99_ms) AS p99_ms,
           max(max_ms) AS max_ms
      FROM partner_minute
     WHERE operator = :operator AND minute >= :since AND minute < :until
     GROUP BY 1 ORDER BY 1""")
FIND: Final = text("""
    SELECT o.id, p.minutes_since, p.minutes_until
      FROM operator o LEFT JOIN plot_progress p ON p.id = 1 WHERE o.code = :code""")


@dataclass(frozen=True, slots=True)
class PartnerPoint:
    """The attempts of one step of a plot. All is None where it is not known."""

    at: datetime  # where the step begins
    delivered: int | None
    failed: int | None
    p50_ms: int | None
    p99_ms: int | None
    max_ms: int | None


@dataclass(frozen=True, slots=True)
class PartnerPlot:
    """The attempts of one operator in [*since*, *until*), a point for each *step*."""

    since: datetime
    until: datetime
    step: timedelta
    points: tuple[PartnerPoint, ...]


def store_next_minute(connection: Connection, *, now: datetime) -> int:
    """Store the next complete minute of all operators in the caller's transaction.

    Returns 1, or 0 if there is none yet, or another sweep is at work. A minute that is stored again
    is the same. After a pause of the sweep the minutes of the last six hours are caught up with.
    """
    complete = floor_to(now - SETTLED_AFTER, MINUTE)
    progress = connection.execute(PROGRESS).one_or_none()
    if progress is None:
        connection.execute(BEGIN)
    elif progress.minutes_until is not None and progress.minutes_until >= complete:
        return 0
    progress = connection.execute(LOCK_PROGRESS).one_or_none()
    if progress is None:
        return 0
    since, minute = progress.minutes_since, progress.minutes_until
    if minute is None or minute < complete - CATCH_UP_MAX:
        since = minute = complete - (MINUTE if minute is None else CATCH_UP_MAX)
    if minute >= complete:  # another sweep has stored it meanwhile
        return 0
    connection.execute(STORE_MINUTE, {"minute": minute})
    connection.execute(REMOVE_OLD, {"before": minute - KEPT_FOR, "limit": REMOVED_AT_ONCE})
    connection.execute(ADVANCE, {"since": since, "until": minute + MINUTE})
    return 1


def partner_plot(
    connection: Connection,
    operator: str,
    *,
    since: datetime,
    until: datetime,
    points_max: int = 300,
) -> PartnerPlot:
    """Return the attempts of *operator* in [*since*, *until*), in at most *points_max* steps.

    The range is widened to whole steps and cut to the last 48 hours before *until*. A step that is
    not complete yet has no point. Raises OperatorNotFound.
    """
    row = connection.execute(FIND, {"code": operator}).one_or_none()
    if row is None:
        raise unknown_operator(connection, operator)
    since = max(since, until - KEPT_FOR)
    step = _step(until - since, min(points_max, POINTS_MAX))
    since = floor_to(since, step)
    stored = {
        line["at"]: PartnerPoint(**line)
        for line in connection.execute(
            READ, {"operator": row.id, "since": since, "until": until, "step": step}
        ).mappings()
    }
    points = tuple(
        stored.get(at) or _empty(at, known_since=row.minutes_since)
        for at in _steps(since, min(until, row.minutes_until or since), step)
    )
    return PartnerPlot(since=since, until=until, step=step, points=points)


def _step(duration: timedelta, points_max: int) -> timedelta:
    # One more point than the duration has steps, since the first begins before it.
    return next((step for step in _STEPS if duration / step <= points_max - 1), _STEPS[-1])


def _steps(since: datetime, until: datetime, step: timedelta) -> Iterator[datetime]:
    """Yield where each whole step in [*since*, *until*) begins."""
    while since + step <= until:
        yield since
        since += step


def _empty(at: datetime, *, known_since: datetime | None) -> PartnerPoint:
    """Return the point of a step without a stored minute: no attempts, or nothing is known."""
    count = 0 if known_since is not None and at >= known_since else None
    return PartnerPoint(at, count, count, None, None, None)
