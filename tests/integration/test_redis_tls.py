"""Redis over TLS: a server that the URL does not name receives no password and no event."""

import asyncio
import runpy
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from sqlalchemy import Engine

from producers.gateway.stream import GatewayStream
from producers.publisher import Publisher
from producers.simulation.partner import SimulatedPartner
from tests.support.authority import Authority
from tests.support.celery_process import environment
from tests.support.delivery_setup import KEY, SECRET, delivery_setup_on
from tests.support.free_port import free_port
from tests.support.manual_clock import ManualClock
from tests.support.procfile_processes import Running
from tests.support.raw_server import Line, RawServer, raw_server
from tests.support.redis_clients import by_celery, by_our_client, celery_at, flower_at, settings_for
from tests.support.sources import ROOT
from tests.support.tls_redis import CLIENT, PASSWORD, USER, tls_redis
from tests.support.wait import eventually
from worker.doctor.checks import check_installation
from worker.doctor.finding import State
from worker.process.outage import reason_of
from worker.process.redis_client import open_redis

EVENT = {"action": "ticket_win", "data": {"operator": "acme", "ticket_id": "t-1"}}
EXAMPLES = ROOT / "producers" / "examples"
PROCESSES = ("intake", "deliver", "sweep", "beat", "flower", "gateway", "console")
CONNECTIONS = 12  # by which each of them has tried at least once
AUTHORITIES = {"ours": Authority("ours"), "others": Authority("others")}
FAR, EXPIRED = "redis.example.com", timedelta(days=-1)
# A server's certificate, and what the client says about it.
CERTIFICATES: dict[str, tuple[str, dict[str, Any], str]] = {
    "of an authority that we do not trust": ("others", {}, "unable to get local issuer"),
    "for another host": ("ours", {"host": FAR}, "IP address mismatch"),
    "expired": ("ours", {"valid_for": EXPIRED}, "certificate has expired"),
}


# --- whom a client talks to ---


@dataclass(frozen=True, slots=True)
class Stranger:
    """A server on the port of Redis. *received*: what clients said after the handshake."""

    server: RawServer
    url: str
    fault: str
    received: list[bytes] = field(default_factory=list)


@pytest.fixture(params=[*CERTIFICATES.values()], ids=[*CERTIFICATES])
def stranger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stranger]:
    with listening(tmp_path, *request.param) as listener:
        yield listener


@contextmanager
def listening(
    folder: Path, authority: str, certificate: Mapping[str, Any], fault: str
) -> Iterator[Stranger]:
    """Listen with a *certificate* of *authority*; clients trust ours."""
    received: list[bytes] = []

    def listen(line: Line) -> None:
        while data := line.connection.recv(4096):
            received.append(data)
            line.send(b"+OK\r\n")

    (folder / "ours.pem").write_bytes(AUTHORITIES["ours"].pem)
    files = AUTHORITIES[authority].issue("redis", **certificate).write(folder, "redis")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    with raw_server(listen, tls=context) as server:
        place = f"rediss://{USER}:{PASSWORD}@127.0.0.1:{server.port}/0"
        url = f"{place}?ssl_ca_certs={folder / 'ours.pem'}"
        yield Stranger(server, url, fault, received)


def by_flower(url: str) -> object:
    with flower_at(url) as broker:
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


def by_remote_control(url: str) -> object:
    with celery_at(url) as app:
        return app.control.ping(timeout=0.1) == []  # no worker runs


def by_doctor(url: str) -> object:
    """What the doctor finds first, raised if it is wrong."""
    now = datetime.now(UTC)  # noqa: TID251 - the certificates are valid by it
    finding = next(check_installation(settings_for(url), now=now))
    assert finding.state is State.OK, finding.detail
    return finding


def by_probe(url: str) -> object:
    done = subprocess.run(
        [sys.executable, ROOT / "deploy" / "image" / "probe.py", "alive", "intake"],
        env={"SLIPWAY_REDIS_URL": url, "TMPDIR": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    if "Redis does not answer" in done.stdout:
        raise RedisError("the probe cannot verify the certificate")
    return done.stdout


def by_bare_sockets(url: str) -> object:
    """It reads no option of the URL: it trusts the system's authorities alone."""
    return runpy.run_path(str(EXAMPLES / "publish_raw.py"))["publish"](url, b"{}")


def by_a_foreign_celery(url: str) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLIPWAY_REDIS_URL", url.partition("?")[0])
        example = runpy.run_path(str(EXAMPLES / "publish_celery.py"))
    with closing(example["app"]):
        return example["publish"]({**EVENT, "event_id": "e-1", "occurred_at": "now"})


CLIENTS: dict[str, Callable[[str], object]] = {
    "our client": by_our_client,
    "Celery": by_celery,
    "remote control": by_remote_control,
    "Flower": by_flower,
    "publisher": by_publisher,
    "gateway": by_gateway,
    "doctor": by_doctor,
    "probe": by_probe,
}
ALL = {**CLIENTS, "bare sockets": by_bare_sockets, "a foreign Celery": by_a_foreign_celery}


@pytest.mark.parametrize("ask", ALL.values(), ids=ALL)
def test_a_stranger_receives_nothing(stranger: Stranger, ask: Callable[[str], object]) -> None:
    with pytest.raises(Exception, match=r"(?i)certificate|stream does not respond"):
        ask(stranger.url)

    assert stranger.server.connections > 0
    assert stranger.received == []


def test_a_client_that_verifies_nothing_is_heard(stranger: Stranger) -> None:
    """Without it, the test above could not fail."""
    foreign = Redis.from_url(
        stranger.url, ssl_cert_reqs="none", ssl_check_hostname=False, retry=Retry(NoBackoff(), 0)
    )
    with foreign, suppress(Exception):  # what it answers makes no sense
        foreign.ping()

    assert PASSWORD.encode() in b"".join(stranger.received)


def test_the_reason_names_the_server_and_what_was_expected(stranger: Stranger) -> None:
    with pytest.raises(RedisError) as failure:
        by_our_client(stranger.url)

    reason = reason_of(failure.value)

    assert f"127.0.0.1:{stranger.server.port} does not prove that it is the server" in reason
    assert stranger.fault in reason
    assert "expected: a certificate for this host, valid now, of an authority of" in reason
    assert PASSWORD not in reason


@pytest.mark.parametrize("ask", CLIENTS.values(), ids=CLIENTS)
def test_a_server_that_proves_itself_and_demands_the_same_is_used(
    ask: Callable[[str], object], tmp_path: Path
) -> None:
    with tls_redis(tmp_path, AUTHORITIES["ours"]) as server:
        assert ask(server.url())


@pytest.mark.parametrize("ask", [by_our_client, by_celery, by_publisher])
def test_a_client_certificate_that_is_missing_is_asked_for(
    ask: Callable[[str], object], tmp_path: Path
) -> None:
    with (
        tls_redis(tmp_path, AUTHORITIES["ours"]) as server,
        pytest.raises(Exception, match=r".") as failure,
    ):
        ask(server.url(ssl_certfile="", ssl_keyfile=""))

    reason = reason_of(failure.value)
    assert "client certificate" in reason
    assert "ssl_certfile and ssl_keyfile" in reason


def test_files_that_are_replaced_are_read_without_a_restart(tmp_path: Path) -> None:
    """A certificate lives for weeks, a process for months."""
    ours = AUTHORITIES["ours"]
    with (
        tls_redis(tmp_path, ours) as server,
        open_redis(settings_for(server.url()).redis_url, retries=0, name="test") as client,
    ):
        client.ping()
        AUTHORITIES["others"].issue("slipway", host=None).write(tmp_path, CLIENT)
        client.connection_pool.disconnect()
        with pytest.raises(RedisError) as failure:
            client.ping()
        ours.issue("slipway", host=None).write(tmp_path, CLIENT)

        assert client.ping()
    assert "(ssl_certfile" in reason_of(failure.value)


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
        gateway_port="0",
        console_port="0",
    )


@pytest.mark.slow
def test_no_process_tells_a_stranger_its_password(tmp_path: Path, database: str) -> None:
    with listening(tmp_path, *CERTIFICATES["of an authority that we do not trust"]) as stranger:
        env = environment_for(tmp_path, database, stranger.url, free_port())
        with running(tmp_path, env) as started:

            def all_tried() -> bool:
                for process in started:
                    process.must_live()
                return stranger.server.connections >= CONNECTIONS

            eventually(all_tried)
            intake, *_ = started
            eventually(lambda: "does not prove that it is the server" in intake.wrote())
            wrote = [process.wrote() for process in started]

        assert stranger.received == []
        assert PASSWORD not in "".join(wrote)


@pytest.mark.slow
def test_everything_works_over_tls_with_an_authority_of_one_s_own(
    tmp_path: Path, database: str, engine: Engine
) -> None:
    """The server demands client certificates, too."""
    flower = free_port()
    with (
        tls_redis(tmp_path, AUTHORITIES["ours"]) as server,
        SimulatedPartner(secret=SECRET) as partner,
        delivery_setup_on(engine, ManualClock()) as delivery,
    ):
        delivery.operator("acme", partner.url)
        env = environment_for(tmp_path, database, server.url(), flower)
        with running(tmp_path, env) as started:
            publisher = Publisher.at(server.url())
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

    assert {*codes} == {0, -signal.SIGTERM}  # uvicorn ends by the signal, after all requests


def page(port: int, path: str) -> str:
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=30).text
    except httpx.HTTPError:
        return ""
