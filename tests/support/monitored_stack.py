"""A running Slipway with some traffic, and all that operations can see of it."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from models.events.stream_contract import STREAM
from producers.simulation.partner import Respond, Rule, SimulatedPartner
from tests.support.certificates import identity
from tests.support.plain_http import NO_AUTHORITIES
from tests.support.running_slipway import RunningSlipway, running_slipway
from tests.support.wait import eventually

SECRET = "a-secret-that-must-not-be-seen"
PASSWORD = ("operations", "a-password-that-must-not-be-seen")
TICKETS = 30
OPERATORS = """
operators:
- {{code: acme, url: "{acme}", protocol: pam, secret_file: secret,
    access: {{authorities_file: partner.pem}}}}
- {{code: busy, url: "{busy}", protocol: pam, secret_file: secret}}
"""
_PROCESSES = {"intake", "deliver", "sweep", "beat"}


@dataclass(frozen=True, slots=True)
class WatchedSlipway:
    """The running system, and where each process shows itself."""

    slipway: RunningSlipway
    gateway: str
    flower: str
    pages: Mapping[str, str]  # process -> address of its metrics

    def metrics(self, process: str) -> dict[str, list[tuple[dict[str, str], float]]]:
        """What a process shows: by name of the sample, its labels and values."""
        samples: dict[str, list[tuple[dict[str, str], float]]] = {}
        text = httpx.get(self.pages[process], timeout=30, verify=NO_AUTHORITIES).text
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                samples.setdefault(sample.name, []).append((sample.labels, sample.value))
        return samples

    def value(self, process: str, name: str, **labels: str) -> float:
        """One sample's value, found by some of its labels; 0 where there is none."""
        samples = self.metrics(process).get(name, [])
        return sum(value for have, value in samples if labels.items() <= have.items())

    def lines(self) -> Iterator[dict[str, Any]]:
        """What the processes logged, line by line."""
        for line in self.slipway.screen.read_text(encoding="utf-8").splitlines():
            _, bar, text = line.partition(" | ")
            if bar and text.startswith("{"):
                yield json.loads(text)


@contextmanager
def watched_slipway(folder: Path) -> Iterator[WatchedSlipway]:
    """Run everything; tickets are won at a partner that takes notices, and at one that does not."""
    with (
        SimulatedPartner(secret=SECRET) as partner,
        SimulatedPartner(secret=SECRET) as busy,
        running_slipway(folder, survey_interval="1s", log_level="debug") as slipway,
    ):
        busy.behave(Rule(Respond(503)))
        (folder / "secret").write_text(SECRET)
        identity(folder)  # for an access that expires some day
        (folder / "operators.yaml").write_text(OPERATORS.format(acme=partner.url, busy=busy.url))
        slipway.command(f"operators apply -f {folder}/operators.yaml")
        screen = slipway.screen.read_text()
        (gateway,) = re.findall(r"gateway (http://[^\s,]+)", screen)
        (console,) = re.findall(r"console (http://[^\s,]+)", screen)
        (flower,) = re.findall(r"flower (http://[^\s,]+)", screen)
        watched = WatchedSlipway(slipway, gateway, flower, pages_of(folder, gateway, console))
        _publish(slipway)
        eventually(lambda: len(partner.ledger.entries()) == TICKETS)
        eventually(
            lambda: watched.value("deliver", "slipway_delivery_attempts_total", operator="busy")
        )
        eventually(lambda: watched.value("sweep", "slipway_rejected_events") == 2)
        yield watched


def pages_of(folder: Path, gateway: str, console: str | None = None) -> dict[str, str]:
    """Where each process below *folder* shows its metrics, once all are there."""

    def found() -> dict[str, str]:
        files = {re.split(r"[@.]", file.name)[0]: file for file in folder.glob("**/*.metrics")}
        assert set(files) == _PROCESSES
        return {process: file.read_text().strip() for process, file in files.items()}

    served = {"gateway": gateway, **({"console": console} if console else {})}
    return {**eventually(found), **{name: f"{url}/metrics" for name, url in served.items()}}


def _publish(slipway: RunningSlipway) -> None:
    with slipway.redis() as redis:
        redis.config_set("maxmemory", 512 * 1024 * 1024)
        for number in range(TICKETS):
            _add(redis, "ticket_win", "acme", f"T{number}")
        _add(redis, "ticket_win", "busy", "B1")
        _add(redis, "ticket_rollback", "acme", "unheard-of")
        _add(redis, "ticket_win", "nobody", "N1")
        redis.xadd(STREAM, {"event": "no json"})


def _add(redis: Any, action: str, operator: str, ticket_id: str) -> None:  # noqa: ANN401 - a client of any version
    event = {
        "event_id": f"{action}-{ticket_id}",
        "action": action,
        "data": {"operator": operator, "ticket_id": ticket_id},
    }
    redis.xadd(STREAM, {"event": json.dumps(event)})
