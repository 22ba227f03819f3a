"""The environment in which the processes run: what is given, and what is filled in."""

import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from cryptography.fernet import Fernet

from models.settings.errors import PREFIX
from worker.local.servers import Servers
from worker.local.servers.data_folder import PORTS_FILE
from worker.local.servers.ports import KeptPorts

ROOT: Final = Path(__file__).parents[3]  # the checkout, or /app in the image: holds the Procfile
LOOPBACK_NETWORK: Final = "127.0.0.0/8"
_SERVERS: Final = ("DATABASE_URL", "REDIS_URL", "BROKER_URL")
_PORTS: Final = ("GATEWAY_PORT", "FLOWER_PORT")
_KEY_FILE: Final = "secret-key"
_ENVIRONMENT_FILE: Final = "environment"


def with_servers(given: Mapping[str, str], servers: Servers, *, key: str) -> dict[str, str]:
    """*given*, led to our own servers; partners on this machine are allowed unless it says more."""
    environment = {name: value for name, value in given.items() if name not in overridden(given)}
    environment[PREFIX + "DATABASE_URL"] = servers.database_url
    environment[PREFIX + "REDIS_URL"] = servers.redis_url
    environment[PREFIX + "SECRET_KEY"] = given.get(PREFIX + "SECRET_KEY") or key
    environment.setdefault(PREFIX + "PARTNER_NETWORKS", LOOPBACK_NETWORK)
    return environment


def overridden(given: Mapping[str, str]) -> list[str]:
    """The variables that lead to other servers than our own."""
    return [PREFIX + name for name in _SERVERS if given.get(PREFIX + name)]


def with_ports(
    given: Mapping[str, str], data: Path | None = None, *, say: Callable[[str], None] | None = None
) -> dict[str, str]:
    """*given*, with a free port where it says 0: the one of the last start with *data*, if any.

    *say* is called where that one is taken.
    """
    ports = KeptPorts(None if data is None else data.expanduser() / PORTS_FILE)
    chosen = {name: ports.choose(name) for name in _PORTS if given.get(PREFIX + name) == "0"}
    for name, port in chosen.items():
        before = ports.keep(name, port)
        if say is not None and before is not None:
            say(moved(PREFIX + name, before, port))
    return {**given, **{PREFIX + name: str(port) for name, port in chosen.items()}}


def moved(name: str, before: int, now: int) -> str:
    """Say that *name* does not have the port of the last start."""
    return f"{name}: port {before} of the last start is taken, so it is {now} now"


def for_processes(given: Mapping[str, str], *, private: Path) -> dict[str, str]:
    """*given*, with our own programs found first and probes and scratch files in *private*."""
    programs = str(Path(sys.executable).parent)
    return {
        **given,
        "PATH": os.pathsep.join([programs, given.get("PATH", os.defpath)]),
        "PYTHONUNBUFFERED": "1",  # or a line is shown when the next eight kilobytes are full
        "TMPDIR": str(private),
    }


def for_another_terminal(environment: Mapping[str, str]) -> str:
    """Shell lines that lead a second terminal to the same servers."""
    names = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "PARTNER_NETWORKS")
    return "".join(
        f"export {PREFIX}{name}={shlex.quote(environment[PREFIX + name])}\n" for name in names
    )


def kept_key(data: Path | None) -> str:
    """The key that seals secrets: made once and kept with the data, or made for this run."""
    if data is None:
        return Fernet.generate_key().decode()
    file = data.expanduser() / _KEY_FILE
    if not file.exists():
        write_private(file, Fernet.generate_key().decode() + "\n")
    return file.read_text(encoding="ascii").strip()


def keep_environment(data: Path, lines: str) -> Path:
    """Write *lines* for a second terminal into the data folder, for its owner alone."""
    file = data.expanduser() / _ENVIRONMENT_FILE
    write_private(file, lines)
    return file


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    fresh = file.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600, exist_ok=False)
    fresh.write_text(text, encoding="utf-8")
    fresh.rename(file)


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder of our own for probes and scratch files, deleted at the end."""
    with TemporaryDirectory(prefix="slipway-run-", ignore_cleanup_errors=True) as name:
        yield Path(name)
