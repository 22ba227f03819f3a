"""What must never be sent to the queue `tickets`: malformed messages of Celery and kombu."""

import pickle
from collections.abc import Callable, Iterator
from datetime import timedelta
from random import Random
from typing import Final

from models.events.stream_contract import EVENT_BYTES_MAX
from models.vocabulary import Reason
from producers.wall_clock import utc_now
from tests.faults.poison import OPERATOR, SEED, Entry, as_json, event
from tests.support.envelopes import envelope, task


def queue_messages(each: int) -> Iterator[Entry]:
    """So many messages of every kind; the text is the field `event`."""
    rng = Random(SEED + 1)  # noqa: S311 - rubbish, nothing secret
    for kind, (reason, make) in QUEUE.items():
        for _ in range(each):
            yield Entry(kind, {b"event": make(rng)}, reason)


def _facts(rng: Random) -> dict[str, object]:
    return {"operator": OPERATOR, "ticket_id": f"poisoned-{rng.getrandbits(40)}"}


def late(rng: Random) -> str:
    """A moment years ahead."""
    return (utc_now() + timedelta(days=4 * 365, seconds=rng.getrandbits(20))).isoformat()


QUEUE: Final[dict[str, tuple[Reason, Callable[[Random], bytes]]]] = {
    "not JSON": (Reason.NOT_JSON, lambda rng: b"win %d" % rng.getrandbits(20)),
    "nothing": (Reason.NOT_JSON, lambda _: b""),
    "not UTF-8": (Reason.NOT_UTF8, lambda rng: b"\xff\xfe%d" % rng.getrandbits(20)),
    "half a message": (Reason.NOT_JSON, lambda rng: task(kwargs=_facts(rng))[:-9]),
    "another type": (Reason.INVALID_EVENT, lambda rng: rng.choice([b"[]", b"null", b"7"])),
    "deep": (Reason.NOT_JSON, lambda _: b"[" * 50_000),
    "a plain event": (Reason.INVALID_EVENT, lambda rng: as_json(event(rng))),
    "no headers": (
        Reason.INVALID_EVENT,
        lambda rng: task(kwargs=_facts(rng)).replace(b'"headers"', b'"heads"'),
    ),
    "headers are a list": (Reason.INVALID_EVENT, lambda _: envelope([[], {}, {}], headers=[1])),
    "no delivery tag": (
        Reason.INVALID_EVENT,
        lambda rng: task(kwargs=_facts(rng), properties={"delivery_tag": ...}),
    ),
    "no id": (Reason.INVALID_EVENT, lambda rng: task(kwargs=_facts(rng), headers={"id": ...})),
    "an unknown task": (Reason.UNKNOWN_ACTION, lambda rng: task("ticket_lose", (), _facts(rng))),
    "a pickle": (
        Reason.INVALID_EVENT,
        lambda rng: envelope(
            pickle.dumps([[], _facts(rng), {}]),
            headers={"task": "ticket_win", "id": "1"},
            content_type="application/x-python-serialize",
        ),
    ),
    "broken base64": (Reason.INVALID_EVENT, lambda rng: task(kwargs=_facts(rng), body="%%%")),
    "a body that is no call": (
        Reason.INVALID_EVENT,
        lambda rng: envelope(_facts(rng), headers={"task": "ticket_win", "id": "1"}),
    ),
    "positional arguments": (Reason.INVALID_EVENT, lambda rng: task(args=[rng.getrandbits(9)])),
    "arguments are a list": (Reason.INVALID_EVENT, lambda _: task(kwargs=["a", "b"])),
    "no ticket": (Reason.INVALID_EVENT, lambda _: task(kwargs={"operator": OPERATOR})),
    "an eta": (Reason.TIMED, lambda rng: task(kwargs=_facts(rng), headers={"eta": late(rng)})),
    "huge": (
        Reason.TOO_LARGE,
        lambda rng: task(kwargs={**_facts(rng), "x": "y" * (EVENT_BYTES_MAX + 1)}),
    ),
}
