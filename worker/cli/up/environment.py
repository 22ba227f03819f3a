"""The environment in which the processes run: the caller's, completed."""

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
_SERVERS: Final = ("DATABASE_URL", "MIGRATION_DATABASE_URL", "REDIS_URL", "BROKER_URL")
_PORTS: Final = ("GATEWAY_PORT", "FLOWER_PORT", "CONSOLE_PORT")
_GIVEN: Final = (*_PORTS, "METRICS_PORT")  # those that may be set, and then belong to a process
_KEY_FILE: Final = "secret-key"
_ENVIRONMENT_FILE: Final = "environment"


def with_servers(given: Mapping[str, str], servers: Servers, *, key: str) -> dict[str, str]:
    """Return *given* with the embedded servers; partners on this machine are allowed by default."""
    environment = {name: value for name, value in given.items() if name not in overridden(given)}
    environment[PREFIX + "DATABASE_URL"] = servers.database_url
    environment[PREFIX + "REDIS_URL"] = servers.redis_url
    environment[PREFIX + "SECRET_KEY"] = given.get(PREFIX + "SECRET_KEY") or key
    environment.setdefault(PREFIX + "PARTNER_NETWORKS", LOOPBACK_NETWORK)
    return environment


def overridden(given: Mapping[str, str]) -> list[str]:
    """Return the variables that name other servers than the embedded ones."""
    return [PREFIX + name for name in _SERVERS if given.get(PREFIX + name)]


def with_ports(
    given: Mapping[str, str],
    data: Path | None = None,
    *,
    report: Callable[[str], None] | None = None,
) -> dict[str, str]:
    """Return *given* with a free port for each 0: the one of the last start with *data*, if any.

    No two are the same. Calls *report* for each port of the last start that is taken.
    """
    ports = KeptPorts(None if data is None else data.expanduser() / PORTS_FILE)
    chosen: dict[str, int] = {}
    given_ports = [given.get(PREFIX + name, "") for name in _GIVEN]
    taken = {int(text) for text in given_ports if text.isdecimal()}
    for name in _PORTS:
        if given.get(PREFIX + name) == "0":
            chosen[name] = ports.choose(name, refused={*taken, *chosen.values()})
    for name, port in chosen.items():
        before = ports.keep(name, port)
        if report is not None and before is not None:
            report(describe_moved_port(PREFIX + name, before, port))
    return {**given, **{PREFIX + name: str(port) for name, port in chosen.items()}}


def describe_moved_port(name: str, before: int, now: int) -> str:
    """Report that *name* does not have the port of the last start."""
    return f"{name}: port {before} of the last start is taken; using {now} instead"


def for_processes(given: Mapping[str, str], *, private: Path) -> dict[str, str]:
    """Return *given* with this installation's programs first, and temporary files in *private*."""
    programs = str(Path(sys.executable).parent)
    return {
        **given,
        "PATH": os.pathsep.join([programs, given.get("PATH", os.defpath)]),
        "PYTHONUNBUFFERED": "1",  # otherwise a line is shown only once eight kilobytes are full
        "TMPDIR": str(private),
    }


def exports(environment: Mapping[str, str]) -> str:
    """Return shell lines that let a second terminal use the same servers."""
    names = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "PARTNER_NETWORKS")
    return "".join(
        f"export {PREFIX}{name}={shlex.quote(environment[PREFIX + name])}\n" for name in names
    )


def load_key(data: Path | None) -> str:
    """Return the key that encrypts secrets: kept with the data, or made for this run."""
    if data is None:
        return Fernet.generate_key().decode()
    file = data.expanduser() / _KEY_FILE
    if not file.exists():
        write_private(file, Fernet.generate_key().decode() + "\n")
    return file.read_text(encoding="ascii").strip()


def write_environment_file(data: Path, lines: str) -> Path:
    """Write *lines* for a second terminal into the data folder, readable by its owner alone."""
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
    """Make a folder for probes and temporary files; it is deleted at the end."""
    with TemporaryDirectory(prefix="slipway-run-", ignore_cleanup_errors=True) as name:
        yield Path(name)
