"""Notices, after each round, what vanished from the stream without having been applied."""

import logging

from redis.exceptions import RedisError

from models.database.engine import Transaction
from models.monitoring.stream_losses import Loss, notice_loss
from worker.intake.finished_count import FinishedCount

log = logging.getLogger(__name__)


def notice_stream_loss(count: FinishedCount, transaction: Transaction) -> Loss | None:
    """Count the stream, keep the count and what was lost since the last one, and log that.

    Returns what was lost. Without Redis the next round compares. Raises what the database raises.
    """
    try:
        counted = count.read()
    except RedisError:  # the stats show that it is unavailable, or that the key is no stream
        return None
    with transaction() as connection:
        loss = notice_loss(connection, counted)
    if loss is not None:
        facts = {
            "cause": loss.cause.value,
            "entries": loss.entries,
            "first_id": loss.first_id,
            "last_id": loss.last_id,
        }
        log.log(
            logging.ERROR if loss.entries else logging.WARNING, "stream_entries_lost", extra=facts
        )
    return loss
