"""Redis behind Sentinel: three real sentinels and three servers, and who follows them."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.sentinel import MasterNotFoundError
from sqlalchemy import Engine

from producers.gateway.stream import GatewayStream
from producers.publisher import Publisher, PublishLater
from producers.simulation.partner import SimulatedPartner
from tests.support.authority import Authority
from tests.support.celery_process import environment
from tests.support.closed_port import closed_port
from tests.support.delivery_setup import KEY, SECRET, delivery_setup_on
from tests.support.free_port import free_port
from tests.support.manual_clock import ManualClock
from tests.support.publishing_load import Load, event, running, tickets_of
from tests.support.redis_clients import by_celery, by_our_client, flower_at, settings_for
from tests.support.sentinels import (
    PASSWORD,
    PRIMARY,
    SENTINEL_PASSWORD,
    Watched,
    sentinels,
)
from tests.support.wait import eventually
from worker.doctor.checks import check_installation
from worker.doctor.finding import Finding, State
from worker.process.redis_client import open_redis

PROCESSES = ("intake", "deliver", "sweep", "beat", "flower")


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with sentinels(tmp_path_factory.mktemp("sentinels")) as running:
        yield running


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with sentinels(tmp_path_factory.mktemp("encrypted"), authority=Authority("ours")) as running:
        yield running


def by_flower(url: str) -> object:
    with flower_at(url) as broker:
        return asyncio.run(queues_of(broker))


async def queues_of(broker: Any) -> object:  # noqa: ANN401 - Flower carries no types
    queues = await broker.queues(["deliver"])
    for sentinel in broker.redis.connection_pool.sentinel_manager.sentinels:
        await sentinel.aclose()  # Flower leaves them to the garbage collector
    return queues


def by_publisher(url: str) -> object:
    with closing(Publisher.at(url)) as publisher:
        return publisher.publish(event("t-0"))


def by_gateway(url: str) -> object:
    with closing(GatewayStream.at(settings_for(url))) as stream:
        return stream.fault() is None


CLIENTS: dict[str, Callable[[str], object]] = {
    "our client": by_our_client,
    "Celery": by_celery,
    "publisher": by_publisher,
    "gateway": by_gateway,
    "Flower": by_flower,
}


def of_part(url: str, part: str) -> Finding:
    """What the doctor says first of *part*; it goes on no further, to wait for workers."""
    now = datetime.now(UTC)  # noqa: TID251 - certificates are valid by it
    checks = check_installation(settings_for(url), now=now)
    return next(each for each in checks if each.part == part)


@pytest.mark.parametrize("ask", CLIENTS.values(), ids=CLIENTS)
def test_every_client_finds_the_primary(ask: Callable[[str], object], watched: Watched) -> None:
    assert ask(watched.url())


@pytest.mark.parametrize("ask", CLIENTS.values(), ids=CLIENTS)
def test_every_client_finds_it_over_tls(ask: Callable[[str], object], encrypted: Watched) -> None:
    """Sentinels and servers demand a client certificate, too."""
    assert ask(encrypted.url())


@pytest.mark.parametrize("ask", [by_our_client, by_celery, by_publisher, by_gateway])
def test_a_sentinel_that_is_down_is_passed_over(
    ask: Callable[[str], object], watched: Watched
) -> None:
    down = Watched([closed_port(), *watched.sentinels[1:]], watched.servers)

    assert ask(down.url())


@contextmanager
def publisher_at(url: str) -> Iterator[Callable[[], object]]:
    with closing(Publisher.at(url)) as publisher:
        yield lambda: publisher.publish(event("t-0"))


@contextmanager
def client_at(url: str) -> Iterator[Callable[[], object]]:
    with open_redis(url, retries=0, name="test") as client:
        yield client.ping


@pytest.mark.parametrize("opened", [client_at, publisher_at])
def test_no_connection_to_a_sentinel_stays_open_between_two_questions(
    opened: Callable[[str], AbstractContextManager[Callable[[], object]]], watched: Watched
) -> None:
    """A client that is closed leaves none to the garbage collector."""
    down = Watched([closed_port(), *watched.sentinels[1:]], watched.servers)
    before = watched.asking()
    with opened(down.url()) as ask:
        assert ask()
        eventually(lambda: watched.asking() <= before)


def test_sentinels_of_another_authority_are_told_nothing(
    encrypted: Watched, tmp_path: Path
) -> None:
    (tmp_path / "others.pem").write_bytes(Authority("others").pem)
    url = encrypted.url(ssl_ca_certs=str(tmp_path / "others.pem"))

    with pytest.raises(MasterNotFoundError) as failure:
        by_our_client(url)
    with pytest.raises(PublishLater, match=r"none of the sentinels 127\.0\.0\.1:"):
        by_publisher(url)

    assert PASSWORD not in str(failure.value)
    finding = of_part(url, "Redis sentinels")
    assert finding.state is State.WRONG
    assert "does not prove that it is the server of the Redis URL" in finding.detail


# --- the doctor ---


def test_the_doctor_names_the_primary(watched: Watched) -> None:
    finding = of_part(watched.url(), "Redis sentinels")

    assert finding.state is State.OK
    assert finding.detail == f"3 of 3 name the primary 127.0.0.1:{watched.named()}"


WRONG = {
    "a sentinel is down": (
        lambda watched: Watched([*watched.sentinels[:2], closed_port()], watched.servers).url(),
        State.DOUBTFUL,
        "2 of 3 name the primary",
    ),
    "two sentinels": (
        lambda watched: Watched(watched.sentinels[:2], watched.servers).url(),
        State.DOUBTFUL,
        "names 2",
    ),
    "the wrong name": (
        lambda watched: watched.url().replace(f"/{PRIMARY}/", "/another/"),
        State.WRONG,
        "No such master with that name",
    ),
    "the wrong password": (
        lambda watched: watched.url(sentinel_password="hidden"),
        State.WRONG,
        "none of 3 names the primary",
    ),
    "no password": (
        lambda watched: watched.url(sentinel_password=""),
        State.WRONG,
        "none of 3 names the primary",
    ),
    "the servers themselves": (
        lambda watched: Watched(watched.servers, watched.servers).url(sentinel_password=PASSWORD),
        State.WRONG,
        "unknown command",
    ),
}


@pytest.mark.parametrize(("make", "state", "detail"), WRONG.values(), ids=WRONG)
def test_the_doctor_says_what_is_wrong(
    make: Callable[[Watched], str], state: State, detail: str, watched: Watched
) -> None:
    finding = of_part(make(watched), "Redis sentinels")

    assert finding.state is state
    assert detail in finding.detail
    assert not {PASSWORD, SENTINEL_PASSWORD, "hidden"} & set(str(finding).split())


# --- all processes, through failovers under load ---


@pytest.mark.slow
def test_every_process_follows_each_failover_and_nothing_is_lost(
    tmp_path: Path, database: str, engine: Engine
) -> None:
    flower = free_port()
    with (
        sentinels(tmp_path) as watched,
        SimulatedPartner(secret=SECRET) as partner,
        delivery_setup_on(engine, ManualClock()) as delivery,
    ):
        delivery.operator("acme", partner.url)
        env = environment(
            tmp_path,
            database_url=database,
            redis_url=watched.url(),
            secret_key=KEY,
            partner_networks="127.0.0.0/8",
            flower_port=str(flower),
        )
        with running(PROCESSES, tmp_path, env) as started:
            with Load(lambda: Publisher.at(watched.url())) as load:
                load.goes_on()
                eventually(lambda: len(partner.ledger.entries()) > 0)
                watched.change_over()  # away, …
                load.goes_on()
                watched.change_over()  # … and back: the former primary follows
                load.goes_on()
                eventually(watched.all_know)
                watched.kill_primary()
                load.goes_on()

            def all_told() -> bool:
                for process in started:
                    process.must_live()
                return tickets_of(partner) >= load.acknowledged

            eventually(all_told)
            eventually(lambda: "deliver" in page(flower, "/broker"))
            wrote = "".join(process.wrote() for process in started)
            for process in started:
                process.tell_to_end()
            codes = [process.code() for process in started]

        assert tickets_of(partner) == load.acknowledged
    assert codes == [0] * len(PROCESSES)
    assert PASSWORD not in wrote


def page(port: int, path: str) -> str:
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=30).text
    except httpx.HTTPError:
        return ""
