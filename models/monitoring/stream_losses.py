"""Detects and records entries that left the stream before they were applied.

Slipway cannot prevent it: a publisher trims with XADD's MAXLEN, somebody flushes Redis, a failover
promotes a replica that lags behind. Without this, each would go unnoticed.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, text

from models.monitoring.stream_count import StreamCount

SHOWN_FOR: Final = timedelta(days=7)  # by the doctor
ALERTED_FOR: Final = timedelta(hours=1)
SHOWN_MAX: Final = 100  # losses

BEGIN: Final = text("""
    INSERT INTO stream_count (id, at, birth, added, finished, waiting, first_id, last_id)
    VALUES (1, :at, :birth, :added, :finished, :waiting, :first_id, :last_id)
        ON CONFLICT (id) DO NOTHING
""")
STORE: Final = text("""
    UPDATE stream_count
       SET at = :at, birth = :birth, added = :added, finished = :finished, waiting = :waiting,
           first_id = :first_id, last_id = :last_id
""")
LAST: Final = text("""
    SELECT at, birth, added, finished, waiting, first_id, last_id FROM stream_count FOR UPDATE""")
KEEP_LOSS: Final = text("""
    INSERT INTO stream_loss (noticed_at, since, cause, entries, first_id, last_id)
    VALUES (:noticed_at, :since, :cause, :entries, :first_id, :last_id)""")
NEWEST_LOSSES: Final = text("""
    SELECT noticed_at, since, cause, entries, first_id, last_id FROM stream_loss
     ORDER BY id DESC LIMIT :limit""")


class LossCause(StrEnum):
    """What happened to the stream, as far as its counts tell."""

    REMOVED = "removed"  # entries were trimmed or deleted
    REPLACED = "replaced"  # the stream was deleted, or Redis emptied, and it began again
    WENT_BACK = "went_back"  # Redis lost its last writes: a restart, or a failover


@dataclass(frozen=True, slots=True)
class Loss:
    """Entries that vanished between two counts, and where: their ids lie from *first* to *last*."""

    cause: LossCause
    entries: int  # REPLACED and WENT_BACK: at most, of those that were counted
    first_id: str
    last_id: str
    since: datetime  # the count before


@dataclass(frozen=True, slots=True)
class NoticedLoss:
    """A loss as it is kept. *cause*: a word of `LossCause`, or of a newer release."""

    noticed_at: datetime
    since: datetime
    cause: str
    entries: int
    first_id: str
    last_id: str


def loss_between(before: StreamCount, now: StreamCount) -> Loss | None:
    """Return what vanished between two counts, *now* being the later; None: nothing did.

    What was both added and lost between the two counts of a stream that began again is not known.
    """
    first = before.first_id or before.last_id
    if now.birth != before.birth:
        return Loss(LossCause.REPLACED, before.waiting, first, before.last_id, before.at)
    if now.added < before.added:
        lost = before.added - now.added
        return Loss(LossCause.WENT_BACK, lost, now.last_id, before.last_id, before.at)
    if now.missing > before.missing:
        lost = now.missing - before.missing
        return Loss(LossCause.REMOVED, lost, first, now.first_id or now.last_id, before.at)
    return None


def notice_loss(connection: Connection, count: StreamCount) -> Loss | None:
    """Compare *count* with the one before, keep it, and keep and return what was lost.

    Any number may do so at once: the later count is kept, and a loss is noticed once.
    """
    values = {
        "at": count.at,
        "birth": count.birth,
        "added": count.added,
        "finished": count.finished,
        "waiting": count.waiting,
        "first_id": count.first_id,
        "last_id": count.last_id,
    }
    connection.execute(BEGIN, values)
    before = StreamCount(**connection.execute(LAST).mappings().one())
    if not count.is_later_than(before):
        return None
    loss = loss_between(before, count)
    if loss is not None:
        connection.execute(
            KEEP_LOSS,
            {
                "noticed_at": count.at,
                "since": loss.since,
                "cause": loss.cause.value,
                "entries": loss.entries,
                "first_id": loss.first_id,
                "last_id": loss.last_id,
            },
        )
    connection.execute(STORE, values)
    return loss


def losses_since(connection: Connection, moment: datetime) -> list[NoticedLoss]:
    """Return the last losses that were noticed after *moment*, newest first; at most 100."""
    newest = connection.execute(NEWEST_LOSSES, {"limit": SHOWN_MAX}).mappings()
    return [NoticedLoss(**row) for row in newest if row["noticed_at"] > moment]
