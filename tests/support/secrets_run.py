"""Processes with secrets, and everything in which one of them may not stand."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import redis as redis_client
from cryptography.fernet import Fernet
from sqlalchemy import Engine, inspect, text

from tests.support.celery_process import environment
from tests.support.delivery_setup import KEY, DeliverySetup, delivery_setup_on
from tests.support.free_port import free_port
from tests.support.manual_clock import ManualClock
from tests.support.plain_http import NO_AUTHORITIES
from tests.support.procfile_processes import Running
from tests.support.wait import eventually

FLOWER = "flower-password-in-clear"
OLD_KEY = Fernet.generate_key().decode()


@dataclass
class SecretsRun:
    """What runs, and where it can be inspected."""

    env: dict[str, str]
    delivery: DeliverySetup
    redis: "redis_client.Redis"
    processes: list[Running] = field(default_factory=list)
    metrics_port: int = field(default_factory=free_port)  # of the deliverer

    @property
    def settings(self) -> dict[str, str]:
        """What the processes are set to, for `CommandLine.export`."""
        return {
            name.removeprefix("SLIPWAY_").lower(): value
            for name, value in self.env.items()
            if name.startswith("SLIPWAY_")
        }

    def address(self, process: str) -> str:
        return f"http://127.0.0.1:{self.env[f'SLIPWAY_{process.upper()}_PORT']}"


@contextmanager
def secrets_run(
    folder: Path, *, engine: Engine, database: str, redis_url: str, redis: "redis_client.Redis"
) -> Iterator[SecretsRun]:
    """A set-up of its own; no process runs so far."""
    env = environment(
        folder,
        database_url=database,
        redis_url=redis_url,
        secret_key=f"{KEY},{OLD_KEY}",
        partner_networks="127.0.0.0/8",
        log_level="debug",
        gateway_port=str(free_port()),
        flower_port=str(free_port()),
        console_port=str(free_port()),
    )
    env["FLOWER_BASIC_AUTH"] = f"anna:{FLOWER}"
    with engine.begin() as connection:
        now = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    with delivery_setup_on(engine, ManualClock(now - timedelta(minutes=1))) as delivery:
        yield SecretsRun(env, delivery, redis)


@contextmanager
def running(run: SecretsRun, folder: Path, *more: str) -> Iterator[None]:
    """The processes a secret passes through, and *more*."""
    names = ("gateway", "intake", "deliver", "flower", *more)
    own = {"deliver": {"SLIPWAY_METRICS_PORT": str(run.metrics_port)}}
    run.processes = [
        Running(name, env=run.env | own.get(name, {}), folder=folder, start=subprocess.Popen)
        for name in names
    ]
    try:
        yield
    finally:
        for process in run.processes:
            process.kill()


def pages(run: SecretsRun) -> Iterator[tuple[str, str]]:
    """Flower's pages and API, what the gateway shows without a key, and the deliverer's metrics."""
    yield (
        "deliver /metrics",
        httpx.get(f"http://127.0.0.1:{run.metrics_port}/metrics", timeout=30).text,
    )
    with httpx.Client(base_url=run.address("flower"), auth=("anna", FLOWER), timeout=30) as flower:
        listed = ("/", "/workers", "/tasks", "/broker", "/metrics", "/api/workers")
        ask_them = "/api/workers?refresh=1"  # what it shows of a worker, its settings among that
        workers = eventually(lambda: list(flower.get(ask_them).json()))
        each = [f"/worker/{name}" for name in workers]
        for path in (*listed, "/api/tasks", "/api/queues/length", *each):
            yield f"flower {path}", flower.get(path).text
    with httpx.Client(base_url=run.address("gateway"), timeout=30) as gateway:
        for path in ("/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/nothing"):
            yield f"gateway {path}", gateway.get(path).text


def tables(engine: Engine) -> Iterator[tuple[str, str]]:
    names = inspect(engine).get_table_names()
    with engine.begin() as connection:
        for name in names:
            rows = connection.execute(text(f'SELECT t::text FROM "{name}" t')).scalars()  # noqa: S608 - names from the catalogue
            yield f"table {name}", "\n".join(rows)


def held_by_redis(redis: "redis_client.Redis") -> Iterator[tuple[str, str]]:
    for key in redis.scan_iter():
        yield f"redis {key!r}", repr(key) + repr(redis.dump(key))


def answers(address: str) -> bool:
    try:
        page = f"{address}/healthcheck"
        return not httpx.get(page, timeout=30, verify=NO_AUTHORITIES).is_server_error
    except httpx.TransportError:
        return False
