"""What no program should ever push on a list of Celery's own: some of these ended every worker."""

import json
import pickle
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Final

from tests.faults.poison import SEED, as_json, event
from tests.faults.poisoned_queue import late
from tests.support.envelopes import envelope, task


def list_messages(queue: str, each: int) -> Iterator[bytes]:
    """So many messages of every kind for *queue*."""
    rng = Random(f"{SEED} {queue}")  # noqa: S311 - rubbish, nothing secret
    for make in LISTS.values():
        for _ in range(each):
            yield make(queue, rng)


def _wakeup(queue: str, rng: Random, **changed: Any) -> bytes:  # noqa: ANN401 - handed on
    """Return a wakeup message that is valid except for *changed*."""
    headers = {"id": f"poison-{rng.getrandbits(60)}"} | changed.pop("headers", {})
    properties = {
        "delivery_tag": f"poison-{rng.getrandbits(60)}",
        "delivery_info": {"exchange": "", "routing_key": queue},
    } | changed.pop("properties", {})
    name = changed.pop("name", queue if queue != "intake" else "deliver")
    args, kwargs = changed.pop("args", []), changed.pop("kwargs", {})
    return task(name, args, kwargs, headers=headers, properties=properties, **changed)


def _headless(queue: str, rng: Random, headers: object) -> bytes:
    whole = json.loads(_wakeup(queue, rng))
    return as_json({**whole, "headers": headers})


LISTS: Final[dict[str, Callable[[str, Random], bytes]]] = {
    "not JSON": lambda _, rng: b"deliver! %d" % rng.getrandbits(20),
    "nothing": lambda *_: b"",
    "not UTF-8": lambda *_: b"\xff\xfe\x00",
    "half a message": lambda queue, rng: _wakeup(queue, rng)[:-20],
    "a list": lambda *_: b"[1, 2, 3]",
    "a plain event": lambda _, rng: as_json(event(rng)),
    "deep": lambda *_: b"[" * 50_000,
    "no headers": lambda queue, rng: _headless(queue, rng, None),
    "headers are a list": lambda queue, rng: _headless(queue, rng, [1]),
    "no task": lambda queue, rng: _wakeup(queue, rng, headers={"task": ...}),
    "no id": lambda queue, rng: _wakeup(queue, rng, headers={"id": ...}),
    "an id that is a list": lambda queue, rng: _wakeup(queue, rng, headers={"id": [1]}),
    "an id with a lone surrogate": lambda queue, rng: _wakeup(queue, rng, headers={"id": "\ud800"}),
    "an unknown task": lambda queue, rng: _wakeup(queue, rng, name="no.such.task"),
    "a task that is an object": lambda queue, rng: _wakeup(queue, rng, name={"a": 1}),
    "no delivery tag": lambda queue, rng: _wakeup(queue, rng, properties={"delivery_tag": ...}),
    "a tag that is a list": lambda queue, rng: _wakeup(
        queue, rng, properties={"delivery_tag": [1]}
    ),
    "a tag with a lone surrogate": lambda queue, rng: _wakeup(
        queue, rng, properties={"delivery_tag": "\udfff"}
    ),
    "no delivery info": lambda queue, rng: _wakeup(queue, rng, properties={"delivery_info": ...}),
    "a routing key that is a number": lambda queue, rng: _wakeup(
        queue, rng, properties={"delivery_info": {"exchange": "", "routing_key": 7}}
    ),
    "a priority in words": lambda queue, rng: _wakeup(queue, rng, properties={"priority": "high"}),
    "an unknown body encoding": lambda queue, rng: _wakeup(
        queue, rng, properties={"body_encoding": "rot13"}
    ),
    "broken base64": lambda queue, rng: _wakeup(queue, rng, body="%%%"),
    "a body that is a number": lambda queue, rng: _wakeup(queue, rng, body=7),
    "a body that is no call": lambda queue, rng: _wakeup(queue, rng, body="e30="),
    "positional arguments": lambda queue, rng: _wakeup(queue, rng, args=[1, 2]),
    "arguments are a list": lambda queue, rng: _wakeup(queue, rng, kwargs=[1]),
    "something to follow": lambda queue, rng: _wakeup(
        queue, rng, embed={"callbacks": 7, "errbacks": "x", "chain": {}, "chord": []}
    ),
    "another content type": lambda queue, rng: _wakeup(queue, rng, content_type="text/xml"),
    "no content type": lambda queue, rng: _wakeup(queue, rng, content_type=...),
    "a content type that is a list": lambda queue, rng: _wakeup(queue, rng, content_type=[]),
    "a pickle": lambda queue, rng: envelope(
        pickle.dumps([[], {}, {}]),
        headers={"task": queue, "id": "1"},
        properties={"delivery_tag": f"pickle-{rng.getrandbits(60)}"},
        content_type="application/x-python-serialize",
        content_encoding="binary",
    ),
    "an unknown encoding": lambda queue, rng: _wakeup(queue, rng, content_encoding="klingon"),
    "an encoding that is a list": lambda queue, rng: _wakeup(queue, rng, content_encoding=[]),
    "compressed, it says": lambda queue, rng: _wakeup(queue, rng, headers={"compression": "x"}),
    "an eta in years": lambda queue, rng: _wakeup(queue, rng, headers={"eta": late(rng)}),
    "an eta that is none": lambda queue, rng: _wakeup(queue, rng, headers={"eta": "tomorrow"}),
    "an end that is none": lambda queue, rng: _wakeup(queue, rng, headers={"expires": [1]}),
    "limits that are none": lambda queue, rng: _wakeup(queue, rng, headers={"timelimit": "long"}),
    "retries in words": lambda queue, rng: _wakeup(queue, rng, headers={"retries": "many"}),
    "a group that is an object": lambda queue, rng: _wakeup(queue, rng, headers={"group": {}}),
    "an origin that is a list": lambda queue, rng: _wakeup(queue, rng, headers={"origin": [1]}),
    "protocol 1, without an id": lambda queue, rng: envelope(
        {"task": queue, "args": [], "kwargs": {}},
        properties={"delivery_tag": f"old-{rng.getrandbits(60)}"},
    ),
    "huge": lambda queue, rng: _wakeup(queue, rng, kwargs={"x": "y" * 3_000_000}, name="no.such"),
}
