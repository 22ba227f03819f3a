"""What hours of READONLY or NOREPLICAS do: thousands of tries cost nothing, and none waits long.

The loops and clients themselves, on a real server that refuses; only their pauses are not waited.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest
from kombu.exceptions import KombuError
from redis import Redis
from redis.exceptions import RedisError

from producers.gateway.errors import RequestRefused
from producers.gateway.stream import GatewayStream
from producers.publisher import Publisher, PublishLater
from tests.support import intake_at_work
from tests.support.closed_port import closed_port
from tests.support.envelopes import task
from tests.support.publishing_load import event
from tests.support.redis_clients import celery_at, settings_for
from worker.intake.celery_queue import CeleryQueue, QueueDrain
from worker.intake.loop import Intake
from worker.intake.stream import Stream
from worker.process.redis_client import open_redis

TRIES = 1_440  # of a loop: in two hours, at the longest pause
CALLS = 100
FEW = 5  # descriptors that others of this process may open meanwhile
LONGEST_PAUSE = 5.0  # so that work goes on within 10 s, however long it was refused


@contextmanager
def read_only(redis: Redis) -> Iterator[None]:
    redis.replicaof("127.0.0.1", str(closed_port()))
    try:
        yield
    finally:
        redis.replicaof("NO", "ONE")


@contextmanager
def lacks_replicas(redis: Redis) -> Iterator[None]:
    redis.config_set("min-replicas-to-write", 1)
    try:
        yield
    finally:
        redis.config_set("min-replicas-to-write", 0)


REFUSALS = [read_only, lacks_replicas]


class Impatient(threading.Event):
    """Notes how long it would have been waited for; is set after so many times."""

    def __init__(self, many: int) -> None:
        super().__init__()
        self.many = many
        self.pauses: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.pauses.append(timeout or 0.0)
        if len(self.pauses) >= self.many:
            self.set()
        return self.is_set()


def open_now() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


def intake(client: Redis) -> Intake:
    def apply(*_: object, **__: object) -> NoReturn:
        raise AssertionError("nothing can be read")

    return Intake(
        stream=Stream(client, consumer="refused"),
        applier=intake_at_work.TestedApplier(apply),
        config=intake_at_work.CONFIG,
        notify=lambda: None,
        report=lambda _: None,
        alive=lambda: None,
    )


def drain(client: Redis) -> QueueDrain:
    return QueueDrain(CeleryQueue(client))


@pytest.mark.parametrize("refuse", REFUSALS)
@pytest.mark.parametrize("loop", [intake, drain])
def test_a_loop_tries_for_two_hours_with_one_connection_and_pauses_of_seconds(
    redis: Redis,
    redis_url: str,
    loop: Callable[[Redis], Intake | QueueDrain],
    refuse: Callable[[Redis], Any],
) -> None:
    redis.lpush("tickets", task())  # what the queue's loop would move
    tries = Impatient(TRIES)

    with open_redis(redis_url, retries=0, name="refused") as client:
        client.ping()
        before = open_now()
        with refuse(redis):
            loop(client).run(tries)
            after = open_now()

    assert after - before <= FEW
    assert len(tries.pauses) == TRIES
    assert set(tries.pauses[10:]) == {LONGEST_PAUSE}


def by_publisher(url: str, ending: ExitStack) -> Callable[[], object]:
    client = ending.enter_context(Redis.from_url(url))
    publisher = Publisher(client, tries_max=1)
    return lambda: publisher.publish(event("t-1"))


def by_gateway(url: str, ending: ExitStack) -> Callable[[], object]:
    stream = ending.enter_context(closing(GatewayStream.at(settings_for(url))))
    return lambda: stream.add([{b"event": b"{}"}])


def by_beat(url: str, ending: ExitStack) -> Callable[[], object]:
    app = ending.enter_context(celery_at(url))
    return lambda: app.send_task("deliver", ignore_result=True)


@pytest.mark.parametrize("refuse", REFUSALS)
@pytest.mark.parametrize("client", [by_publisher, by_gateway, by_beat])
def test_a_client_that_is_refused_again_and_again_opens_no_more_connections(
    redis: Redis,
    redis_url: str,
    client: Callable[[str, ExitStack], Callable[[], object]],
    refuse: Callable[[Redis], Any],
) -> None:
    with ExitStack() as ending:
        call = client(redis_url, ending)
        call()
        before = open_now()
        with refuse(redis):
            for _ in range(CALLS):
                with pytest.raises((RedisError, PublishLater, RequestRefused, KombuError)):
                    call()
            after = open_now()
        call()

    assert after - before <= FEW
