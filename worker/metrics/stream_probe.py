"""Whether Redis would take an event now: asked with an entry that it never keeps."""

from enum import StrEnum
from typing import Final

from redis import Redis
from redis.exceptions import ResponseError

from models.events.probe_entry import OLDER, is_unusable, probe_command
from models.events.stream_contract import STREAM


class Refused(StrEnum):
    """Why it would not."""

    WRONG_TYPE = "wrong_type"  # the key is not a stream
    NO_IDS_LEFT = "no_ids_left"
    FULL = "full"
    TAKES_NO_WRITES = "takes_no_writes"  # a replica, too few replicas, or a disk in trouble
    OTHER = "other"


_BY_CODE: Final = {
    "WRONGTYPE": Refused.WRONG_TYPE,
    "OOM": Refused.FULL,
    "READONLY": Refused.TAKES_NO_WRITES,
    "NOREPLICAS": Refused.TAKES_NO_WRITES,
    "MISCONF": Refused.TAKES_NO_WRITES,
}


def refused(redis: Redis) -> Refused | None:
    """Name the reason; None: an event would be taken. Raises redis.RedisError without an answer."""
    try:
        redis.execute_command(*probe_command(STREAM))  # type: ignore[no-untyped-call]  # redis-py's
    except ResponseError as refusal:
        words = str(refusal)
        if OLDER in words:
            return None
        code = refusal.status_code or words.partition(" ")[0]
        if is_unusable(words) and code not in _BY_CODE:
            return Refused.NO_IDS_LEFT
        return _BY_CODE.get(code, Refused.OTHER)
    return None
