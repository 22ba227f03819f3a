"""Checks whether Redis would accept an event now, without publishing one."""

from collections.abc import Iterator, Mapping
from typing import Final

from redis import Redis
from redis.exceptions import NoPermissionError, ResponseError

from models.events.probe_entry import probe_command
from models.events.stream_contract import STREAM
from worker.doctor.finding import Finding, ok, wrong
from worker.metrics.redis_stats import PublishRefusal, refusal_of

PUBLISHING: Final = "publishing"
_RUNBOOK: Final = "deploy/RUNBOOK.md, SlipwayPublishingRefused"
_REMEDIES: Final[Mapping[PublishRefusal, str]] = {
    PublishRefusal.WRONG_TYPE: f"{_RUNBOOK}, says how to repair the key",
    PublishRefusal.NO_IDS_LEFT: f"{_RUNBOOK}, says how to repair the key",
    PublishRefusal.FULL: "raise maxmemory, or find out why events wait (see *stream*)",
    PublishRefusal.TAKES_NO_WRITES: "point the URL to the primary, bring back its replicas, or free"
    f" space on its disk: {_RUNBOOK}",
    PublishRefusal.OTHER: _RUNBOOK,
}
_NO_WAITAOF: Final = ("unknown command", "appendonly is disabled")
_DISK_REMEDY: Final = (
    "use Redis 7.2 or Valkey with `appendonly yes` and a user with +waitaof, or set"
    " SLIPWAY_WAITAOF to `off`: until then the gateway does not start, and publishers send nothing"
)


def check_publishing(
    redis: Redis, *, stream: str = STREAM, waitaof_ms: int | None
) -> Iterator[Finding]:
    """Have Redis check an event without storing it. Raises redis.RedisError if it is down.

    *waitaof_ms*: publishers wait for the disk (SLIPWAY_WAITAOF), so Redis must support that, too.
    """
    refusal = _refusal(redis, stream)
    if refusal is not None:
        yield _refused(refusal, _remedy(refusal))
        return
    if waitaof_ms is not None:
        refusal = _disk_refusal(redis)
        if refusal is not None:
            unsupported = isinstance(refusal, NoPermissionError) or any(
                text in str(refusal) for text in _NO_WAITAOF
            )
            yield _refused(refusal, _DISK_REMEDY if unsupported else _remedy(refusal))
            return
    yield ok(PUBLISHING, "an event would be accepted")


def _refusal(redis: Redis, stream: str) -> ResponseError | None:
    try:
        redis.execute_command(*probe_command(stream))  # type: ignore[no-untyped-call]  # redis-py's
    except ResponseError as error:
        return None if refusal_of(error) is None else error
    return None


def _disk_refusal(redis: Redis) -> ResponseError | None:
    try:
        redis.execute_command("WAITAOF", 1, 0, 1)  # type: ignore[no-untyped-call]  # redis-py's
    except ResponseError as error:
        return error
    return None


def _remedy(refusal: ResponseError) -> str:
    return _REMEDIES[refusal_of(refusal) or PublishRefusal.OTHER]


def _refused(refusal: ResponseError, remedy: str) -> Finding:
    code = refusal.status_code
    quoted = f"{code} {refusal}" if code and code != "ERR" else str(refusal)
    return wrong(PUBLISHING, f"an event would be refused now: {quoted}", remedy=remedy)
