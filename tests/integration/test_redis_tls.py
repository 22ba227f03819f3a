"""Redis over TLS: a server that the URL does not name receives no password and no event."""

import asyncio
import runpy
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from celery import Celery
from flower.utils.broker import Broker
from redis import Redis
from sqlalchemy import Engine

from models.settings.settings import Settings
from producers.gateway.stream import GatewayStream
from producers.publisher import Publisher
from producers.simulation.partner import SimulatedPartner
from tests.support.celery_process import environment
from tests.support.certificates import identity
from tests.support.delivery_setup import KEY, SECRET, delivery_setup_on
from tests.support.manual_clock import ManualClock
from tests.support.plain_settings import plain_settings
from tests.support.procfile_processes import Running
from tests.support.raw_server import Line, RawServer, raw_server
from tests.support.sources import ROOT
from tests.support.wait import eventually
from worker.celery import transport
from worker.celery.configuration import configuration
from worker.celery.wakeup import is_waiting
from worker.local.servers.ports import free_port
from worker.process.redis_client import open_redis

USER, PASSWORD = "slipway-worker", "kept-secret"
EVENT = {"action": "ticket_win", "data": {"operator": "acme", "ticket_id": "t-1"}}
EXAMPLE = ROOT / "producers" / "examples" / "publish_raw.py"
PROCESSES = ("intake", "deliver", "sweep", "beat", "flower")
CONNECTIONS = 10  # by which each of them has tried at least once
TRUSTED = "?ssl_ca_certs={folder}/partner.pem"
CERTIFICATES = {  # what the certificate is made out for, and what the URL trusts
    "signed by nobody we trust": (None, ""),
    "of a trusted authority, for another host": ("redis.example.com", TRUSTED),
}


# --- whom a client talks to ---


@dataclass(frozen=True, slots=True)
class Stranger:
    """A server on the port of Redis. *received*: what clients said after the handshake."""

    server: RawServer
    url: str
    received: list[bytes] = field(default_factory=list)


@pytest.fixture(params=[*CERTIFICATES.values()], ids=[*CERTIFICATES])
def stranger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stranger]:
    host, options = request.param
    with listening(tmp_path, host=host, options=options) as listener:
        yield listener


@contextmanager
def listening(folder: Path, *, host: str | None, options: str) -> Iterator[Stranger]:
    received: list[bytes] = []

    def listen(line: Line) -> None:
        while data := line.connection.recv(4096):
            received.append(data)
            line.send(b"+OK\r\n")

    with raw_server(listen, tls=identity(folder, host=host)) as server:
        place = f"rediss://{USER}:{PASSWORD}@127.0.0.1:{server.port}/0"
        yield Stranger(server, place + options.format(folder=folder), received)


def settings_for(url: str) -> Settings:
    return plain_settings(redis_url=url)


@contextmanager
def celery_at(url: str) -> Iterator[Celery]:
    transport.install()
    app = Celery("test", set_as_current=False)
    app.conf.update(configuration(settings_for(url)))
    try:
        yield app
    finally:
        app.close()


def by_our_client(url: str) -> object:
    with open_redis(settings_for(url).redis_url, retries=0, name="test") as client:
        return client.ping()


def by_celery(url: str) -> object:
    with celery_at(url) as app:
        return not is_waiting(app, "deliver")


def by_flower(url: str) -> object:
    with celery_at(url) as app, app.connection() as connection:
        broker = Broker(
            connection.as_uri(include_password=True),
            broker_options=app.conf.broker_transport_options,
            broker_use_ssl=app.conf.broker_use_ssl,
        )
        return asyncio.run(broker.queues(["deliver"]))


def by_publisher(url: str) -> object:
    publisher = Publisher.at(url)
    try:
        return publisher.publish(EVENT)
    finally:
        publisher.close()


def by_gateway(url: str) -> object:
    with closing(GatewayStream.at(settings_for(url))) as stream:
        stream.add([{b"event": b"{}"}])
    return True


def by_bare_sockets(url: str) -> object:
    return runpy.run_path(str(EXAMPLE))["publish"](url, b"{}")


CLIENTS: dict[str, Callable[[str], object]] = {
    "our client": by_our_client,
    "Celery": by_celery,
    "Flower": by_flower,
    "publisher": by_publisher,
    "gateway": by_gateway,
}
ALL = {**CLIENTS, "bare sockets": by_bare_sockets}  # which read no option of the URL


@pytest.mark.parametrize("ask", ALL.values(), ids=ALL)
def test_a_stranger_receives_nothing(stranger: Stranger, ask: Callable[[str], object]) -> None:
    with pytest.raises(Exception, match=r"(?i)certificate|stream does not respond"):
        ask(stranger.url)

    assert stranger.server.connections > 0
    assert stranger.received == []


@pytest.mark.parametrize("ask", CLIENTS.values(), ids=CLIENTS)
def test_who_chooses_to_verify_nothing_talks_to_anybody(
    ask: Callable[[str], object], tmp_path: Path
) -> None:
    """Here the stranger does receive something, so the test above can fail."""
    with listening(tmp_path, host=None, options="?ssl_cert_reqs=none") as anybody:
        with suppress(Exception):  # what it answers makes no sense
            ask(anybody.url)

        assert PASSWORD.encode() in b"".join(anybody.received)


# --- all processes, by the lines of the Procfile ---


@contextmanager
def running(folder: Path, env: Mapping[str, str]) -> Iterator[list[Running]]:
    with ExitStack() as ending:
        started = [Running(name, env=env, folder=folder) for name in PROCESSES]
        for process in started:
            ending.callback(process.kill)
        yield started


def environment_for(folder: Path, database: str, url: str, flower: int) -> dict[str, str]:
    return environment(
        folder,
        database_url=database,
        redis_url=url,
        secret_key=KEY,
        partner_networks="127.0.0.0/8",
        flower_port=str(flower),
    )


@pytest.mark.slow
def test_no_process_tells_a_stranger_its_password(tmp_path: Path, database: str) -> None:
    with listening(tmp_path, host=None, options="") as stranger:
        env = environment_for(tmp_path, database, stranger.url, free_port())
        with running(tmp_path, env) as started:

            def all_tried() -> bool:
                for process in started:
                    process.must_live()
                return stranger.server.connections >= CONNECTIONS

            eventually(all_tried)
            wrote = [process.wrote() for process in started]

        assert stranger.received == []
        assert PASSWORD not in "".join(wrote)


@pytest.mark.slow
def test_everything_works_over_tls_with_an_authority_of_one_s_own(
    tmp_path: Path, database: str, engine: Engine, redis: Redis
) -> None:
    flower = free_port()
    with (
        terminated(redis, tmp_path) as server,
        SimulatedPartner(secret=SECRET) as partner,
        delivery_setup_on(engine, ManualClock()) as delivery,
    ):
        password = redis.connection_pool.connection_kwargs["password"]
        url = f"rediss://:{password}@127.0.0.1:{server.port}/0" + TRUSTED.format(folder=tmp_path)
        delivery.operator("acme", partner.url)
        env = environment_for(tmp_path, database, url, flower)
        with running(tmp_path, env) as started:
            publisher = Publisher.at(url)
            publisher.publish(EVENT)
            publisher.close()

            def is_told() -> bool:
                for process in started:
                    process.must_live()
                return [entry.ticket_id for entry in partner.ledger.entries()] == ["t-1"]

            eventually(is_told)
            eventually(lambda: "deliver" in page(flower, "/broker"))
            for process in started:
                process.tell_to_end()
            codes = [process.code() for process in started]

    assert codes == [0] * len(PROCESSES)


@contextmanager
def terminated(redis: Redis, folder: Path) -> Iterator[RawServer]:
    """TLS in front of *redis*, as stunnel or a cloud's balancer is."""
    place: Mapping[str, Any] = redis.connection_pool.connection_kwargs

    def converse(line: Line) -> None:
        line.connection.settimeout(None)  # a client that waits in BRPOP is silent for long
        with socket.create_connection((place["host"], place["port"])) as server:
            back = threading.Thread(target=hand_on, args=(server, line.connection), daemon=True)
            back.start()
            hand_on(line.connection, server)
            back.join(timedelta(seconds=5).total_seconds())

    with raw_server(converse, tls=identity(folder)) as server:
        yield server


def hand_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):  # the other direction has ended
        while part := source.recv(65_536):
            target.sendall(part)
        target.shutdown(socket.SHUT_RDWR)


def page(port: int, path: str) -> str:
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=10).text
    except httpx.HTTPError:
        return ""
