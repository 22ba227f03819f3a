"""All of Slipway on IPv6: every process that listens does so on `::`, and says where."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.running_slipway import RunningSlipway, bare_environment, running_slipway
from tests.support.server_folders import passable_folder
from tests.support.sources import ROOT
from tests.support.wait import eventually
from worker.local.servers.ports import LOOPBACK

PAGES = {"gateway": "/readyz", "console": "/readyz", "flower": "/healthcheck"}
WORKERS = ("intake", "deliver", "sweep", "beat")
ONLY_6 = Path("/proc/sys/net/ipv6/bindv6only")  # what a socket does that nobody tells


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as tried:
            tried.bind(("::1", 0))
    except OSError:
        return False
    return True


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6"),
]


@pytest.fixture(scope="module")
def slipway() -> Iterator[RunningSlipway]:
    with passable_folder() as folder, running_slipway(folder, bind_address="::") as running:
        yield running


def urls(slipway: RunningSlipway) -> dict[str, str]:
    """Where its line says that the pages are."""
    (line,) = re.findall(r"slipway \| ready: (.*)", slipway.screen.read_text())
    return dict(re.findall(r"(gateway|console|flower) (http://[^,\s]+)", line))


def metrics(slipway: RunningSlipway, process: str) -> str:
    def written() -> str:
        files = slipway.folder.glob(f"**/{process}*.metrics")
        return next((file.read_text().strip() for file in files), "")

    return eventually(written)


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def is_left_to_others_on_ipv4(port: int) -> bool:
    """Whether anybody else may listen there, or does: a socket for both families rules that out."""
    with socket.socket() as tried:
        try:
            tried.bind((LOOPBACK, port))
        except OSError:
            lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
            return any(int(line.split()[1].partition(":")[2], 16) == port for line in lines)
    return True


@pytest.mark.parametrize("name", PAGES)
def test_the_pages_are_where_the_line_says(slipway: RunningSlipway, name: str):
    url = urls(slipway)[name]

    assert re.fullmatch(r"http://\[::1\]:\d+", url)
    assert httpx.get(url + PAGES[name], timeout=20).status_code == 200
    # uvicorn and Tornado bind `::` for IPv6 alone, whatever the kernel would do.
    eventually(lambda: is_left_to_others_on_ipv4(port_of(url)))


@pytest.mark.parametrize("name", WORKERS)
def test_the_metrics_of_a_process_without_pages_are_where_its_file_says(
    slipway: RunningSlipway, name: str
):
    url = metrics(slipway, name)

    assert re.fullmatch(r"http://\[::1\]:\d+/metrics", url)
    assert "slipway_build_info" in httpx.get(url, timeout=20).text
    if not ONLY_6.exists() or ONLY_6.read_text().strip() == "0":
        with socket.create_connection((LOOPBACK, port_of(url)), timeout=20):
            pass


@pytest.mark.parametrize("name", PAGES)
def test_the_probe_asks_there(slipway: RunningSlipway, name: str):
    port = {f"{name}_port": str(port_of(urls(slipway)[name]))}
    env = bare_environment(slipway.folder, bind_address="::", **port)
    done = subprocess.run(
        [sys.executable, ROOT / "deploy/image/probe.py", "ready", name],
        env=env | {"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, f"{name} is ready\n"), done.stderr
