"""Redis behind HAProxy with the file of deploy/, as it stands: who gets connections, what is lost.

Real sentinels, servers and HAProxy. `python -m tests.faults.topologies` compares it with others.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from models.events.stream_contract import EVENT_FIELD, STREAM
from producers.publisher import Publisher
from tests.support.closed_port import closed_port
from tests.support.publishing_load import Load
from tests.support.redis_clients import by_celery, by_our_client
from tests.support.redis_haproxy import haproxy_before, needs_haproxy
from tests.support.sentinels import PASSWORD, Watched, sentinels
from tests.support.wait import eventually, pause

pytestmark = needs_haproxy
CONNECTIONS = 40
LONGER_THAN_ITS_START = 5.0  # seconds: it refuses everybody until all was checked
POLL_SECONDS = 0.05


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with sentinels(tmp_path_factory.mktemp("haproxy")) as running:
        yield running


@dataclass(frozen=True, slots=True)
class Started:
    """HAProxies that began together: each refuses everybody until it has checked all servers."""

    url: str
    one_sentinel_down: str
    most_sentinels_down: str
    reached_meanwhile: set[int]  # through the last of them, from its start on


@pytest.fixture(scope="module")
def started(watched: Watched) -> Iterator[Started]:
    _, second, third = watched.sentinels
    one_down = Watched([closed_port(), second, third], watched.servers)
    most_down = Watched([closed_port(), closed_port(), third], watched.servers)
    with ExitStack() as ending:
        all_up, two_up, one_up = (
            ending.enter_context(haproxy_before(each)) for each in (watched, one_down, most_down)
        )
        meanwhile, until = {0}, time.monotonic() + LONGER_THAN_ITS_START
        while time.monotonic() < until:
            meanwhile.add(reached(one_up))
            pause(POLL_SECONDS)
        yield Started(all_up, two_up, one_up, meanwhile)


@pytest.fixture
def url(watched: Watched, started: Started) -> str:
    eventually(lambda: reached(started.url) == watched.named())
    return started.url


def reached(url: str) -> int:
    """The port of the server that a new connection leads to; 0 if to none."""
    try:
        with Redis.from_url(url, decode_responses=True, socket_timeout=20) as client:
            facts: Any = client.info("server")
    except RedisConnectionError:
        return 0
    return int(facts["tcp_port"])


def on_the_stream(watched: Watched) -> set[str]:
    """The tickets whose event the primary has."""
    with watched.client(watched.named(), password=PASSWORD) as primary:
        entries: Any = primary.xrange(STREAM)
    events = (json.loads(fields[EVENT_FIELD.decode()]) for _, fields in entries)
    return {event["data"]["ticket_id"] for event in events}


@pytest.mark.parametrize("ask", [by_our_client, by_celery])
def test_our_clients_work_through_it(ask: Callable[[str], object], url: str) -> None:
    assert ask(url)


def test_another_server_that_takes_itself_for_the_primary_gets_no_connection(
    watched: Watched, url: str
) -> None:
    """As a former primary does that has just returned: the sentinels tell it after some 10 s."""
    eventually(watched.all_know)
    stranger = next(port for port in watched.servers if port != watched.named())
    with watched.client(stranger, password=PASSWORD) as server:
        server.replicaof("NO", "ONE")
        role: Any = server.role()

    ports = {reached(url) for _ in range(CONNECTIONS)}

    assert role[0] == "master"
    assert ports == {watched.named()}
    eventually(watched.all_know)


def test_one_sentinel_may_be_down(watched: Watched, started: Started) -> None:
    eventually(lambda: reached(started.one_sentinel_down) == watched.named())


def test_no_connection_is_made_while_most_sentinels_are_down(started: Started) -> None:
    """HAProxy starts with all servers taken to be up; that is no reason to connect to one."""
    assert started.reached_meanwhile == {0}
    assert reached(started.most_sentinels_down) == 0


@pytest.mark.slow(seconds=12)
def test_what_is_acknowledged_survives_failovers_and_the_return_of_the_killed_primary(
    watched: Watched, url: str
) -> None:
    with Load(lambda: Publisher.at(url), publishers=2, reconnecting=2) as load:
        load.goes_on()
        killed = watched.named()
        watched.kill_primary()
        load.goes_on()
        watched.bring_back(killed)  # two masters, until the sentinels tell it
        watched.change_over()  # waits for that
        load.goes_on()

    assert len(load.acknowledged - on_the_stream(watched)) == 0
