"""A real HAProxy before Redis, with the file of deploy/ or another; where it is installed."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.faults.front_end import ENDING_SECONDS_MAX, PLACES
from tests.support.sentinels import PASSWORD, PRIMARY, SENTINEL_PASSWORD, USER, Watched
from tests.support.server_folders import passable_folder
from tests.support.sources import ROOT
from worker.local.servers.ports import LOOPBACK

INSTALLED: Final = shutil.which("haproxy", path=PLACES)
needs_haproxy = pytest.mark.skipif(
    INSTALLED is None, reason="there is no haproxy here: apt-get install haproxy"
)
SHIPPED: Final = ROOT / "deploy/redis/haproxy.cfg"
PLACES_IN_FILE: Final = (1, 2, 3)
_NOBODY: Final = "1"  # a port that no sentinel names, where there is no third server


@contextmanager
def haproxy_before(watched: Watched, *, file: Path = SHIPPED) -> Iterator[str]:
    """Run HAProxy with *file* as it stands; give the URL that leads through it.

    It inherits the socket at which it listens: no other program can take its port meanwhile.
    """
    assert INSTALLED is not None, "asked before"
    with passable_folder() as folder, socket.socket() as listening:
        listening.bind((LOOPBACK, 0))
        listening.listen()
        port, number = listening.getsockname()[1], listening.fileno()
        given = {**variables(watched, folder), "LISTEN": f"fd@{number}"}
        with subprocess.Popen(
            [INSTALLED, "-db", "-f", str(file)],
            env={**os.environ, **given},
            pass_fds=[number],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                yield f"redis://{USER}:{PASSWORD}@{LOOPBACK}:{port}/0"
            finally:
                process.terminate()
                process.wait(ENDING_SECONDS_MAX)


def variables(watched: Watched, folder: Path) -> dict[str, str]:
    """What the file is told of servers, sentinels, and sockets of HAProxy's own."""
    given = {
        "REDIS_PASSWORD": PASSWORD,
        "SENTINEL_NAME": PRIMARY,
        "SENTINEL_PASSWORD": SENTINEL_PASSWORD,
    }
    servers = [*map(str, watched.servers), *[_NOBODY] * len(PLACES_IN_FILE)]
    for place, server, sentinel in zip(PLACES_IN_FILE, servers, watched.sentinels, strict=False):
        given[f"REDIS_{place}"] = LOOPBACK
        given[f"REDIS_{place}_PORT"] = server
        given[f"SENTINEL_{place}"] = f"{LOOPBACK}:{sentinel}"
        given[f"NAMED_{place}"] = f"unix@{folder}/named-{place}"
    return given
