"""Runs every process of the Procfile until it receives a signal to stop."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from models.settings.addresses import shown_database
from models.settings.errors import InvalidSettings
from models.settings.listening import host_and_port
from models.settings.redis_address import redis_host
from models.settings.settings import Settings, read_console_settings
from worker.cli.errors import Failed, WrongUsage
from worker.cli.output import remark
from worker.cli.up.environment import (
    ROOT,
    describe_moved_port,
    exports,
    for_processes,
    load_key,
    overridden,
    private_folder,
    with_ports,
    with_servers,
    write_environment_file,
)
from worker.cli.up.readiness import ProcessReadiness
from worker.local.servers import embedded_servers
from worker.local.supervisor.procfile import Procfile, read_procfile
from worker.local.supervisor.runner import Stop, Supervisor, WriteLine
from worker.process.flower_pages import flower_pages
from worker.process.redis_client import require_usable_redis

_POLL_SECONDS = 0.3  # between two checks of which processes are ready
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SUPERVISOR = "slipway"  # the name that its own lines are prefixed with
_COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "bright_cyan", "bright_green")


class ProcessOutput:
    """Prints lines as `name | text`, in colour on a terminal."""

    def __init__(self, names: Sequence[str]) -> None:
        """*names* are the names of the processes."""
        self._width = max(map(len, [*names, _SUPERVISOR]))
        self._colours = {name: _COLOURS[n % len(_COLOURS)] for n, name in enumerate(names)}
        self._coloured = sys.stdout.isatty()

    def __call__(self, name: str, text: str) -> None:
        """Print one line, at once."""
        prefix = f"{name:<{self._width}} |"
        if self._coloured:
            prefix = typer.style(prefix, fg=self._colours.get(name, "white"), bold=True)
        typer.echo(f"{prefix} {text}")


def run_everything(*, embedded: bool, data: Path | None) -> None:
    """Run `release`, then the rest, until SIGINT or SIGTERM; return when all have ended.

    If *embedded*, they use embedded servers; these keep their data in *data*, if given. Raises
    WrongUsage if a setting is missing or wrong, UnusableRedis if one does not fit its server,
    Failed if `release` fails.
    """
    procfile = read_procfile(ROOT / "Procfile")
    with stopped_by_signals() as stop, ExitStack() as servers:
        if embedded or data is not None:
            os.environ.update(servers.enter_context(_embedded_servers(data)))
        os.environ.update(with_ports(os.environ, data, report=remark))
        settings = _settings(embedded=embedded or data is not None)
        # What must not be used would end them again and again; what is away they wait for.
        for problem in require_usable_redis(settings, name="slipway-up"):
            remark(problem)
        output = ProcessOutput([line.name for line in procfile.processes])
        with private_folder() as private:
            names = [line.name for line in procfile.processes]
            readiness = ProcessReadiness(settings, private, names)
            context = RunContext(private, os.environ, output)
            announce = _announcer(readiness, output, stop)
            supervise(procfile, context, stop=stop, on_release=announce)


@dataclass(frozen=True, slots=True)
class RunContext:
    """What the processes of one run have in common."""

    private: Path
    environment: Mapping[str, str]
    write_line: WriteLine


def supervise(
    procfile: Procfile,
    context: RunContext,
    *,
    stop: Stop,
    on_release: Callable[[], None] | None = None,
) -> None:
    """Run *procfile* until *stop* is requested; call *on_release* when `release` has succeeded.

    Raises Failed when `release` fails.
    """
    supervisor = Supervisor(
        environment=for_processes(context.environment, private=context.private),
        folder=ROOT,
        write_line=context.write_line,
        discard=context.private,
    )
    if procfile.release is not None:
        code = supervisor.run_to_end(procfile.release, stop=stop)
        if code and not stop.requested:
            raise Failed(
                f"{procfile.release.command!r} ended with exit code {code}, so nothing else was"
                " started; see its output above"
            )
    if on_release is not None:
        on_release()
    supervisor.run(procfile.processes, stop=stop)


@contextmanager
def stopped_by_signals() -> Iterator[Stop]:
    """While this lasts, SIGINT, SIGTERM and SIGHUP request the Stop; a second skips the grace."""
    stop = Stop()
    before = {number: signal.signal(number, lambda *_: stop.request()) for number in _STOP_SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _embedded_servers(data: Path | None) -> Iterator[dict[str, str]]:
    """Start embedded servers, and print how a second terminal can use them."""
    for name in overridden(os.environ):
        remark(f"{name} is ignored: this run uses embedded servers")
        del os.environ[name]
    remark("starting PostgreSQL and Valkey")
    with embedded_servers(data) as servers:
        for server in (servers.postgres, servers.valkey):
            if server.port_before is not None:
                remark(describe_moved_port(server.name, server.port_before, server.port))
        key = load_key(data)
        environment = with_servers(os.environ, servers, key=key)
        lines = exports(environment)
        if data is None:
            remark(f"in another terminal, to use `slipway` with these servers:\n{lines}")
        else:
            file = write_environment_file(data, lines)
            remark(f"in another terminal, to use `slipway` with these servers: . {file}")
        yield environment


def _settings(*, embedded: bool) -> Settings:
    try:
        return read_console_settings()
    except InvalidSettings as wrong:
        advice = "" if embedded else "\nTo use embedded servers: slipway up --embedded"
        raise WrongUsage(f"{wrong}{advice}") from None


def _announcer(
    readiness: ProcessReadiness, write_line: WriteLine, stop: Stop
) -> Callable[[], None]:
    """Return a function that starts a thread, which reports when all processes are ready."""

    def announce() -> None:
        pause = threading.Event()
        while readiness.missing():
            if stop.requested:
                return
            pause.wait(_POLL_SECONDS)
        write_line(_SUPERVISOR, f"ready: {addresses(readiness)}")

    return threading.Thread(target=announce, daemon=True).start


def pages(readiness: ProcessReadiness) -> str:
    """Return the addresses of the processes that serve pages."""
    settings, host = readiness.settings, readiness.host
    gateway = f"gateway http://{host_and_port(host, settings.gateway_port)}"
    flower = f"flower {flower_pages(os.environ).address(host, settings.flower_port)}"
    return f"{gateway}, console {console_address(readiness)}, {flower}"


def console_address(readiness: ProcessReadiness) -> str:
    """Return where the console is opened."""
    settings = readiness.settings
    return settings.console_url or f"http://{host_and_port(readiness.host, settings.console_port)}"


def addresses(readiness: ProcessReadiness) -> str:
    """Return the addresses of the processes and servers, without passwords."""
    servers = (
        f"PostgreSQL {shown_database(readiness.settings.database_url)}",
        f"Redis {redis_host(readiness.settings.redis_url)}",
    )
    return ", ".join([pages(readiness), *servers])
