"""A real Prometheus: the machine's own, or Debian's package unpacked without root."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support.plain_http import NO_AUTHORITIES
from tests.support.wait import eventually

UNPACKING_SECONDS_MAX = 50
PACKAGE = "prometheus"
_TARGETS = "targets.json"


class Unavailable(Exception):
    """There is no Prometheus here, and none could be fetched; the message says why."""


@dataclass(frozen=True, slots=True)
class Programs:
    """The server, and the tool that checks its files."""

    prometheus: Path
    promtool: Path


def find_programs(cache: Path) -> Programs:
    """Find Prometheus on this machine, or unpack Debian's package into *cache*, for next time too.

    Raises Unavailable.
    """
    installed = shutil.which("prometheus"), shutil.which("promtool")
    if installed[0] and installed[1]:
        return Programs(Path(installed[0]), Path(installed[1]))
    folder = cache / "unpacked" / "usr" / "bin"
    programs = Programs(folder / "prometheus", folder / "promtool")
    if not programs.prometheus.exists():
        _unpack(cache)
    if not programs.prometheus.exists():
        raise Unavailable(f"Debian's package {PACKAGE} holds no prometheus")
    return programs


def _unpack(cache: Path) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise Unavailable(f"no {PACKAGE} is installed, and there is no apt-get to fetch one")
    try:
        _run("apt-get", "download", PACKAGE, folder=cache)
        (package,) = cache.glob(f"{PACKAGE}_*.deb")
        _run("dpkg", "-x", str(package), str(cache / "unpacked"), folder=cache)
        package.unlink()
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        shutil.rmtree(cache / "unpacked", ignore_errors=True)
        raise Unavailable(f"Debian's package {PACKAGE} could not be fetched: {error}") from None


def _run(*command: str, folder: Path) -> None:
    subprocess.run(
        command, cwd=folder, check=True, capture_output=True, timeout=UNPACKING_SECONDS_MAX
    )


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running server."""

    url: str
    targets: Path

    def aim(self, targets: Mapping[str, str]) -> None:
        """Scrape *targets* (name to host:port) from now on."""
        listed = [
            {"targets": [address], "labels": {"name": name}} for name, address in targets.items()
        ]
        fresh = self.targets.with_suffix(".new")
        fresh.write_text(json.dumps(listed), encoding="utf-8")
        fresh.rename(self.targets)

    def ask(self, query: str) -> list[Any]:
        """Evaluate *query* now; its series."""
        return list(self.get("query", query=query)["result"])

    def get(self, page: str, **parameters: str) -> Any:  # noqa: ANN401 - as the page has it
        """Ask a page of the HTTP API; what it answers as `data`."""
        answer = httpx.get(
            f"{self.url}/api/v1/{page}", params=parameters, timeout=30, verify=NO_AUTHORITIES
        )
        body = answer.json()
        assert body["status"] == "success", body
        return body["data"]


@contextmanager
def running_prometheus(
    programs: Programs, folder: Path, *, port: int, rules: Path, targets: Mapping[str, str]
) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes *targets* (name to host:port) every second."""
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [
            {"job_name": "slipway", "file_sd_configs": [{"files": [str(folder / _TARGETS)]}]}
        ],
    }
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(configuration), encoding="utf-8")
    command = [
        str(programs.prometheus),
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'series'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    server = Prometheus(f"http://127.0.0.1:{port}", folder / _TARGETS)
    server.aim(targets)
    log = folder / "prometheus.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)

    def answers() -> bool:
        if process.poll() is not None:
            raise RuntimeError(log.read_text())
        try:
            return bool(server.get("status/buildinfo"))
        except (httpx.HTTPError, json.JSONDecodeError):
            return False

    try:
        eventually(answers)
        yield server
    finally:
        process.kill()
        process.wait()
