#!/usr/bin/env python
"""Checks a process of the Procfile: `probe alive|ready [PROCESS]` exits with 0 if it is healthy.

Without PROCESS it checks the one the container was started as. *ready*: it accepts work now.
*alive*: a restart would not help. The files are those of worker/process/health.py, the ages those
of worker/README.md.

A worker's event loop pauses while Redis is unavailable, and its file grows old. Only in that case
the probe pings Redis itself: while Redis does not answer, every worker counts as alive.
"""

import http.client
import os
import ssl
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final

WORKER_ALIVE_SECONDS: Final = 600
READY_SECONDS: Final = 30
STREAM_SECONDS: Final = 60
BEAT_SECONDS: Final = 60
HTTP_SECONDS: Final = 5
REDIS_SECONDS: Final = 2

PAGES: Final = {
    "gateway": ("SLIPWAY_GATEWAY_PORT", 8000, {"alive": "/healthz", "ready": "/readyz"}),
    "console": ("SLIPWAY_CONSOLE_PORT", 8080, {"alive": "/healthz", "ready": "/readyz"}),
    "flower": ("SLIPWAY_FLOWER_PORT", 5555, {"alive": "/healthcheck", "ready": "/healthcheck"}),
}
STREAM: Final = ".stream.alive"
WORKERS: Final = ("intake", "deliver", "sweep")


def main() -> int:
    """Check and print the faults. Returns 0 if healthy, 1 if not, 2 for wrong usage."""
    match sys.argv[1:]:
        case [("alive" | "ready") as question]:
            process = _started_as()
        case [("alive" | "ready") as question, process]:
            pass
        case _:
            _say("usage: probe alive|ready [gateway|console|intake|deliver|sweep|beat|flower]")
            return 2
    faults = list(_faults(question, process))
    if faults and question == "alive" and process not in PAGES and not _redis_answers():
        _say("Redis does not answer, so a restart would not help:", *faults)
        return 0
    _say(*faults or [f"{process} is {question}"])
    return 1 if faults else 0


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")


def _faults(question: str, process: str) -> Iterator[str]:
    if process in PAGES:
        yield from _page_faults(question, process)
    elif process == "beat":
        yield from _too_old("beat", ".alive", BEAT_SECONDS)
    elif process in WORKERS:
        if question == "ready" and not _files(f"{process}@", ".ready"):
            yield f"{process}@*.ready does not exist: it is starting or stopping"
        seconds = READY_SECONDS if question == "ready" else WORKER_ALIVE_SECONDS
        yield from _too_old(f"{process}@", ".alive", seconds)
        if process == "intake":
            yield from _too_old("intake@", STREAM, STREAM_SECONDS)
    # Any other command has no health check: it is healthy while it runs.


def _too_old(start: str, end: str, seconds: int) -> Iterator[str]:
    """Yield a fault if there is none of these files, or all are older than *seconds*."""
    ages = [time.time() - file.stat().st_mtime for file in _files(start, end)]
    if not ages:
        yield f"{start}*{end} does not exist"
    elif min(ages) > seconds:
        yield f"{start}*{end} is {min(ages):.0f} s old; the maximum is {seconds} s"


def _files(start: str, end: str) -> list[Path]:
    """Return files by start and end of their names; `.stream.alive` is not taken for `.alive`."""
    files = [file for file in _folder().glob(f"{start}*") if file.name.endswith(end)]
    return [file for file in files if end == STREAM or not file.name.endswith(STREAM)]


def _folder() -> Path:
    return Path(tempfile.gettempdir()) / f"slipway-{os.getuid()}"


def _page_faults(question: str, process: str) -> Iterator[str]:
    variable, port, pages = PAGES[process]
    page = pages[question]
    connect: Callable[..., http.client.HTTPConnection] = http.client.HTTPConnection
    if process == "flower":
        page, connect = _flower(page, os.environ)
    connection = connect(
        _host(os.environ), int(os.environ.get(variable) or port), timeout=HTTP_SECONDS
    )
    try:
        connection.request("GET", page)
        response = connection.getresponse()
        if response.status != HTTPStatus.OK:
            yield f"{page} answers {response.status} {response.read(500)!r}"
    except (OSError, http.client.HTTPException) as error:
        yield f"{page} does not answer: {error}"
    finally:
        connection.close()


def _flower(
    page: str, environment: Mapping[str, str]
) -> tuple[str, Callable[..., http.client.HTTPConnection]]:
    """Return its page below its prefix, and how it is connected to: as its own variables say."""
    prefix = (environment.get("FLOWER_URL_PREFIX") or "").strip("/")
    below = f"/{prefix}{page}" if prefix else page
    if not environment.get("FLOWER_CERTFILE"):
        return below, http.client.HTTPConnection
    # The probe asks its own container and sends no secret; the certificate is for another name.
    unverified = ssl._create_unverified_context()  # noqa: S323, SLF001 - as above
    return below, partial(http.client.HTTPSConnection, context=unverified)


def _host(environment: Mapping[str, str]) -> str:
    bound = environment.get("SLIPWAY_BIND_ADDRESS") or "127.0.0.1"
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bound, bound)  # noqa: S104 - compared, not bound


def _redis_answers() -> bool:
    # Rarely needed, and slow to import.
    from redis import RedisError  # noqa: PLC0415 - as above

    from models.settings.redis_address import redis_address  # noqa: PLC0415 - as above
    from worker.process.redis_client import open_redis  # noqa: PLC0415 - as above

    environment = os.environ
    url = environment.get("SLIPWAY_BROKER_URL") or environment.get("SLIPWAY_REDIS_URL") or ""
    try:
        # The address is checked as the processes check it: no unverified server gets a password.
        wait = timedelta(seconds=REDIS_SECONDS)
        with open_redis(redis_address(url), retries=0, name="slipway-probe", wait=wait) as client:
            return bool(client.ping())
    except (RedisError, ValueError):
        return False


def _started_as() -> str:
    """Read the last word of the container's command: `tini -- start intake`."""
    return Path("/proc/1/cmdline").read_bytes().rstrip(b"\0").split(b"\0")[-1].decode()


if __name__ == "__main__":
    sys.exit(main())
