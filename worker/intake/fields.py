"""A stream entry's fields as Redis hands them out: XADD takes the same name twice.

redis-py would keep the last one, and so decide which of two events counts.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from redis import Redis


def keep_every_field(redis: Redis) -> None:
    """Have *redis* hand out entries with `fields_in`."""
    redis.set_response_callback("XREADGROUP", _read)
    redis.set_response_callback("XCLAIM", _claimed)


def fields_in(pairs: Sequence[bytes]) -> dict[bytes, bytes]:
    """The fields in *pairs*, names and values by turns.

    Where a name appears twice, every field gets a number behind its name: none of them has the name
    that is looked for, so the entry is no event, and is kept with all it holds.
    """
    names, values = pairs[::2], pairs[1::2]
    fields = dict(zip(names, values, strict=True))
    if len(fields) == len(names):
        return fields
    seen: Counter[bytes] = Counter()
    numbered: dict[bytes, bytes] = {}
    for name, value in zip(names, values, strict=True):
        seen[name] += 1
        numbered[b"%s (%d)" % (name, seen[name])] = value
    return numbered


def _read(answer: Any, **_options: object) -> list[Any]:  # noqa: ANN401 - as Redis says it
    parts = answer.items() if isinstance(answer, Mapping) else answer or ()  # RESP3: a map
    return [[stream, _entries(entries)] for stream, entries in parts]


def _claimed(answer: Any, **options: object) -> Any:  # noqa: ANN401 - as above
    return answer if options.get("parse_justid") else _entries(answer)


def _entries(handed: Sequence[Any]) -> list[Any]:
    """Ids and fields; one that is gone meanwhile has none (before Redis 7: is nothing)."""
    return [
        (None, None) if one is None else (one[0], None if one[1] is None else fields_in(one[1]))
        for one in handed
    ]
