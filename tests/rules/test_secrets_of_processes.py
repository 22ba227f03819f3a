"""Each process is given the secrets of its row in deploy/SECRETS.md, and demands no others."""

import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping

import pytest

from models.settings.errors import InvalidSettings
from models.settings.settings import (
    read_console_settings,
    read_process_settings,
    read_settings,
    read_worker_settings,
)
from producers.gateway.app import build_app as build_gateway
from tests.support.manifests import OVERLAYS, Document, cluster, compose, container
from tests.support.procfile_processes import LINES
from tests.support.sources import ROOT
from worker.celery.needs import read_settings_for
from worker.cli.schema import upgrade_schema
from worker.console.app import build_app as build_console

PAGE = ROOT / "deploy/SECRETS.md"
ROW = re.compile(r"^\| `(?P<process>\w+)` \| (?P<holds>.*?) \| ?(?P<more>.*?) ?\|$", re.MULTILINE)
NAME = re.compile(r"`([A-Z_]+)`")
ROWS = {
    row["process"]: (set(NAME.findall(row["holds"])), set(NAME.findall(row["more"])))
    for row in ROW.finditer(PAGE.read_text(encoding="utf-8"))
}
SECRETS = set.union(*(holds | more for holds, more in ROWS.values()))
READERS = (
    read_settings, read_console_settings, read_worker_settings, read_process_settings,
)  # fmt: skip


def started_by_celery(name: str) -> Callable[[], object]:
    return lambda: read_settings_for(shlex.split(LINES[name]))


# What reads the settings first in each of them.
START: Mapping[str, Callable[[], object]] = {
    "migrate": lambda: upgrade_schema(tries=1),
    "gateway": build_gateway,
    "console": build_console,
    **{name: started_by_celery(name) for name in LINES if name not in ("gateway", "console")},
}


@pytest.fixture
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith("SLIPWAY_")]:
        monkeypatch.delenv(name)
    for read in READERS:
        read.cache_clear()
    yield
    for read in READERS:
        read.cache_clear()


def test_every_process_has_a_row():
    assert ROWS.keys() == {*LINES, "migrate"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_pod_has_the_secrets_of_its_row(overlay):
    pods = {name: container(pod) for name, pod in cluster(overlay).pods().items() if name in ROWS}

    assert {name: secrets_of(pod) for name, pod in pods.items()} == ROWS
    for name, pod in pods.items():
        assert all("secretRef" not in source for source in pod["envFrom"]), name


def test_a_container_has_the_secrets_of_its_row():
    """Compose has one Redis, and no provider that people sign in with."""
    services = compose()["services"]

    for process, (holds, more) in ROWS.items():
        given = services["release" if process == "migrate" else process]["environment"].keys()
        elsewhere = {"SLIPWAY_BROKER_URL", "SLIPWAY_CONSOLE_OIDC_CLIENT_SECRET"}
        assert given & SECRETS == holds | more - elsewhere, process


@pytest.mark.usefixtures("nothing_set")
@pytest.mark.parametrize("process", sorted(ROWS))
def test_a_process_demands_what_its_row_says_and_no_more(process, capsys):
    with pytest.raises((InvalidSettings, SystemExit)) as refusal:
        START[process]()

    words = f"{refusal.value}\n{capsys.readouterr().err}"  # gateway and console say it and exit
    missing = set(re.findall(r"^ *(\w+) is not set", words, re.MULTILINE))
    assert missing == {name for name in ROWS[process][0] if name.startswith("SLIPWAY_")}


def secrets_of(pod: Document) -> tuple[set[str], set[str]]:
    """Return the variables that must be in a Secret, and those that may be."""
    refs = {each["name"]: each["valueFrom"]["secretKeyRef"] for each in pod.get("env", [])}
    more = {name for name, ref in refs.items() if ref.get("optional")}
    return refs.keys() - more, more
