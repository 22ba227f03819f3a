"""Two real PostgreSQL servers, one of which streams from the other, and who follows a failover."""

import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from sqlalchemy import Engine

from models.migrations.runner import upgrade
from models.sweeps.heartbeat import last_round
from producers.publisher import Publisher
from producers.simulation.partner import SimulatedPartner
from tests.support.backups import commands, run
from tests.support.celery_process import environment
from tests.support.closed_port import closed_port
from tests.support.command_line import CommandLine
from tests.support.delivery_setup import KEY, SECRET, delivery_setup_on
from tests.support.manual_clock import ManualClock
from tests.support.procfile_processes import Running
from tests.support.replicated_postgres import Replicated, opened, replicated_postgres
from tests.support.wait import eventually
from worker.local.servers.ports import free_port
from worker.local.servers.postgres import PostgresServer

PROCESSES = ("intake", "deliver", "sweep", "beat", "flower", "gateway", "console")
GROUP = 10  # events of one call
MORE = 10 * GROUP
KEPT = (("ticket_win", "t-kept"),)
LOST = (("ticket_win", "t-lost-1"), ("ticket_win", "t-lost-2"))


@pytest.fixture
def pair() -> Iterator[Replicated]:
    with replicated_postgres() as running:
        upgrade(running.url())
        yield running


@pytest.fixture
def slipway(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    pair: Replicated,
) -> CommandLine:
    """A set-up whose Redis is unavailable, so that no test waits for workers to respond."""
    line = CommandLine(monkeypatch, capsys)
    redis_url = f"redis://127.0.0.1:{closed_port()}/0"
    line.export(database_url=pair.url(), redis_url=redis_url, secret_key=KEY)
    return line


# --- all processes, through a failover under load ---


def event(ticket_id: str) -> Mapping[str, object]:
    return {"action": "ticket_win", "data": {"operator": "acme", "ticket_id": ticket_id}}


class Load:
    """Publishes until it is told to stop; Redis acknowledges each event."""

    def __init__(self, redis_url: str) -> None:
        self.acknowledged: list[str] = []
        self._stop = threading.Event()
        self._redis_url = redis_url
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def goes_on(self) -> None:
        """Wait until that many more are acknowledged."""
        until = len(self.acknowledged) + MORE
        eventually(lambda: len(self.acknowledged) >= until)

    def _run(self) -> None:
        numbers = count()
        with closing(Publisher.at(self._redis_url)) as publisher:
            while not self._stop.wait(0.02):
                tickets = [f"t-{next(numbers)}" for _ in range(GROUP)]
                publisher.publish_many([event(ticket_id) for ticket_id in tickets])
                self.acknowledged += tickets


@contextmanager
def running(folder: Path, settings: Mapping[str, Any]) -> Iterator[Sequence[Running]]:
    own = {name: str(value) for name, value in settings.items()}
    env = environment(folder, partner_networks="127.0.0.0/8", **own)
    with ExitStack() as ending:
        started = [Running(name, env=env, folder=folder) for name in PROCESSES]
        for process in started:
            ending.callback(process.kill)
        yield started


def is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=10).is_success
    except httpx.HTTPError:
        return False


def told(partner: SimulatedPartner) -> set[str]:
    return {str(entry.ticket_id) for entry in partner.ledger.entries() if entry.taken}


@pytest.mark.slow(seconds=40)
def test_every_process_follows_a_failover_and_nothing_is_lost(
    tmp_path: Path, pair: Replicated, redis_url: str, slipway: CommandLine
) -> None:
    """With a synchronous standby each acknowledged event is delivered, to its partner once."""
    pair.wait_for_standby()
    gateway, console = free_port(), free_port()
    with (
        opened(pair.url()) as engine,
        SimulatedPartner(secret=SECRET, deduplicate=True) as partner,
        delivery_setup_on(engine, ManualClock()) as delivery,
    ):
        delivery.operator("acme", partner.url)
        addresses = {"database_url": pair.url(), "redis_url": redis_url, "secret_key": KEY}
        ports = {"gateway_port": gateway, "console_port": console, "flower_port": free_port()}
        with running(tmp_path, {**addresses, **ports}) as started:
            with Load(redis_url) as load:
                eventually(lambda: len(told(partner)) >= GROUP)
                load.goes_on()
                pair.fail_over()
                promoted = moment_of(pair.standby, pair)
                load.goes_on()

            def all_told() -> bool:
                for process in started:
                    process.must_live()
                return told(partner) >= set(load.acknowledged)

            eventually(all_told)
            eventually(lambda: is_ready(gateway) and is_ready(console))
            eventually(lambda: swept_since(engine, promoted))
            hosts = slipway.findings("PostgreSQL hosts")
            migrated = slipway("migrate")
            for process in started:
                process.tell_to_end()
            codes = {process.code() for process in started}

        taken = [entry.idempotency_key for entry in partner.ledger.entries() if entry.taken]
        assert told(partner) == set(load.acknowledged)
        assert len(taken) == len(set(taken)) == len(load.acknowledged)
    assert codes == {0, -signal.SIGTERM}  # uvicorn ends by the signal, after it has stopped
    assert migrated.code == 0
    first, second = (f"127.0.0.1:{server.port}" for server in (pair.primary, pair.standby))
    assert hosts == [("doubtful", f"the primary is {second}; {first}: Connection refused")]


def swept_since(engine: Engine, moment: datetime) -> bool:
    with engine.begin() as connection:
        last = last_round(connection)
    return last is not None and last.ended_at > moment


def test_two_primaries_are_told(slipway: CommandLine, pair: Replicated) -> None:
    """The standby was promoted, and the former primary is still there."""
    pair.ask(pair.standby, "SELECT pg_promote()")

    ((state, detail),) = slipway.findings("PostgreSQL hosts")

    assert state == "wrong"
    assert "are servers of their own, and each accepts writes" in detail


# --- an asynchronous standby: deploy/BACKUP.md, After a failover ---


def test_what_an_asynchronous_standby_did_not_have_is_found_and_published_again(
    pair: Replicated, tmp_path: Path
) -> None:
    with (
        opened(pair.url()) as engine,
        SimulatedPartner(secret=SECRET, deduplicate=True) as partner,
        delivery_setup_on(engine, ManualClock()) as delivery,
    ):
        delivery.operator("acme", partner.url)
        began = moment_of(pair.primary, pair)
        delivery.publish("acme", *KEPT)
        delivery.deliver()
        pair.until_replayed()
        pair.cut_off()
        cut_off = moment_of(pair.primary, pair)
        delivery.publish("acme", *LOST)
        delivery.deliver()
        keys = [str(entry.idempotency_key) for entry in partner.ledger.entries()]
        pair.fail_over()

        (replayed,) = asked("last-replayed", pair, tmp_path)
        (tmp_path / "taken.txt").write_text("".join(f"{key}\n" for key in keys))
        unknown = asked("unknown-notices", pair, tmp_path)
        delivery.entries = count(1 + len(KEPT))  # the backend's record: the same events again
        delivery.publish("acme", *LOST)
        delivery.deliver()
        still_unknown = asked("unknown-notices", pair, tmp_path)
        again = [str(entry.idempotency_key) for entry in partner.ledger.entries()[len(keys) :]]

    assert began < datetime.fromisoformat(replayed) < cut_off
    assert unknown == keys[len(KEPT) :] == again
    assert still_unknown == []


def asked(name: str, pair: Replicated, folder: Path) -> list[str]:
    """What the block of the page answers."""
    script = commands(name, folder)
    return run(script, DATABASE_URL=pair.own_url(pair.standby)).splitlines()


def moment_of(server: PostgresServer, pair: Replicated) -> datetime:
    moment: datetime = pair.ask(server, "SELECT clock_timestamp()")
    return moment
