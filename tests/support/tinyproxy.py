"""tinyproxy, an egress proxy as it is in the world."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.front_end import ENDING_SECONDS_MAX, PLACES, listens
from tests.support.wait import eventually
from worker.local.servers.ports import LOOPBACK, free_port


@contextmanager
def tinyproxy(folder: Path, *, credentials: str | None = None, ports: str) -> Iterator[str]:
    """Run it at the address that is yielded, without *credentials* (user and password).

    *ports*: to which it opens connections. Skips the test where it is not installed.
    """
    program = shutil.which("tinyproxy", path=PLACES)
    if program is None:
        pytest.skip("tinyproxy is not installed: connect_proxy.py plays its part elsewhere")
    port = free_port()
    configuration = folder / f"tinyproxy-{port}.conf"
    asks = "" if credentials is None else f"BasicAuth {credentials}\n"
    configuration.write_text(
        f"Port {port}\nListen {LOOPBACK}\nTimeout 10\nMaxClients 32\nAllow {LOOPBACK}\n"
        f'LogFile "{folder}/tinyproxy-{port}.log"\nConnectPort {ports}\n{asks}',
        encoding="utf-8",
    )
    with subprocess.Popen(
        [program, "-d", "-c", str(configuration)], stdout=subprocess.DEVNULL
    ) as process:
        try:
            eventually(lambda: listens(process, port))
            yield f"http://{LOOPBACK}:{port}"
        finally:
            process.terminate()
            try:
                process.wait(ENDING_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
