"""A running Slipway, a Prometheus with the alerts in a hurry, and the means to break things."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
from redis import Redis

from models.events.stream_contract import STREAM
from producers.simulation.partner import SimulatedPartner
from tests.support.free_port import free_port
from tests.support.monitored_stack import SECRET, pages_of
from tests.support.observed_queries import ALERTS
from tests.support.processes import parent_of
from tests.support.prometheus_server import Programs, Prometheus, running_prometheus
from tests.support.running_slipway import RunningSlipway, running_slipway
from tests.support.wait import eventually

PERSON: Final = "--by provoker --why 'the runbook says so'"
# What the alerts wait for, shortened: the same rules, impatient.
_HURRY: Final = (
    (r"for: \d+[smh]", "for: 2s"),
    (r"\[(5|15)m\]", "[10s]"),
    (r"> (60|300)\b", "> 5"),
    (r">= (600|3300)\b", ">= 5"),
    (r"\+ 30\b", "+ 2"),
)


@dataclass(slots=True)
class AlertEnvironment:
    """What a trial acts on."""

    slipway: RunningSlipway
    prometheus: Prometheus
    partner: SimulatedPartner
    folder: Path
    gateway: str
    console: str
    published: int = 0

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that the processes do."""
        eventually(condition)

    def firing(self) -> set[str]:
        """The alerts that call a person now."""
        alerts = self.prometheus.get("alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def redis(self) -> Redis:
        """A client of its Redis."""
        return self.slipway.redis()

    def database(self) -> psycopg.Connection[Any]:
        """A session of its PostgreSQL."""
        words = (self.slipway.data / "environment").read_text()
        (url,) = re.findall(r"SLIPWAY_DATABASE_URL=(\S+)", words)
        plain = url.strip("'\"").replace("+psycopg", "")
        return psycopg.connect(plain, autocommit=True, application_name="psql")

    def publish(self, action: str, ticket_id: str, operator: str = "acme") -> None:
        """Put an event on the stream."""
        self.published += 1
        event = {
            "event_id": f"event-{self.published}",
            "action": action,
            "data": {"operator": operator, "ticket_id": ticket_id},
        }
        with self.redis() as redis:
            redis.xadd(STREAM, {"event": json.dumps(event)})

    def freeze(self, *pids: int) -> None:
        """Let processes stand still: they exist, and answer no request."""
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)

    def thaw(self, *pids: int) -> None:
        """Let them go on."""
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

    def process(self, name: str) -> int:
        """The process id of a line of the Procfile; 0 while there is none."""
        wanted = f"-n {name}@" if name != "beat" else "worker.celery beat"
        return next((pid for pid, line in self._processes() if wanted in line), 0)

    def restart(self, name: str) -> None:
        """Kill it; the supervisor starts it again, and Prometheus finds it at its new address."""
        old = self.process(name)
        (page,) = self.folder.glob(f"**/{name}*.metrics")
        page.unlink()
        os.kill(old, signal.SIGKILL)
        eventually(lambda: self.process(name) not in {0, old})
        eventually(lambda: bool([*self.folder.glob(f"**/{name}*.metrics")]))
        self.prometheus.aim(self.targets())

    def targets(self) -> dict[str, str]:
        """Where each process shows its metrics now."""
        pages = pages_of(self.folder, self.gateway, self.console)
        return {name: url.split("/")[2] for name, url in pages.items()}

    def postgres(self) -> list[int]:
        """The processes of its PostgreSQL, the first of them in front."""
        with self.database() as connection:
            row = connection.execute("SELECT pg_backend_pid()").fetchone()
            assert row is not None
            first = parent_of(row[0])
        return [first, *_children(first)]

    def _processes(self) -> Iterator[tuple[int, str]]:
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if str(self.folder).encode() in (entry / "environ").read_bytes():
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    yield int(entry.name), line
            except OSError:  # it has ended meanwhile
                continue


def _children(parent: int) -> Iterator[int]:
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            if parent_of(int(entry.name)) == parent:
                yield int(entry.name)


@contextmanager
def alert_environment(folder: Path, programs: Programs) -> Iterator[AlertEnvironment]:
    """Run everything, and Prometheus beside it."""
    hurried = ALERTS.read_text(encoding="utf-8")
    for pattern, shorter in _HURRY:
        hurried = re.sub(pattern, shorter, hurried)
    rules = folder / "alerts.yml"
    rules.write_text(hurried, encoding="utf-8")
    with (
        SimulatedPartner(secret=SECRET) as partner,
        running_slipway(
            folder, subprocess.Popen, survey_interval="1s", retry_schedule="1s,2s,2s"
        ) as slipway,
    ):
        (folder / "secret").write_text(SECRET)
        slipway.command(
            f"operators add acme --url {partner.url} --protocol pam --close-delay 1s"
            f" --secret-file {folder}/secret {PERSON}"
        )
        screen = slipway.screen.read_text()
        (gateway,) = re.findall(r"gateway (http://[^\s,]+)", screen)
        (console,) = re.findall(r"console (http://[^\s,]+)", screen)
        pages = pages_of(folder, gateway, console)
        targets = {name: url.split("/")[2] for name, url in pages.items()}
        with running_prometheus(
            programs, folder, port=free_port(), rules=rules, targets=targets
        ) as prometheus:
            yield AlertEnvironment(slipway, prometheus, partner, folder, gateway, console)
