"""Runs every process of the Procfile until told to stop."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from models.settings.errors import InvalidSettings
from models.settings.settings import Settings, read_settings
from worker.cli.errors import Failed, WrongUsage
from worker.cli.output import remark
from worker.cli.up import environment as surroundings
from worker.cli.up.output import OURSELVES, ProcessOutput
from worker.cli.up.readiness import ProcessReadiness
from worker.local.servers import embedded_servers
from worker.local.supervisor.procfile import Procfile, read_procfile
from worker.local.supervisor.runner import Say, Stop, Supervisor

_LOOK_SECONDS = 0.3  # between two looks at who is ready
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_everything(*, embedded: bool, data: Path | None) -> None:
    """Run `release`, then the rest, until SIGINT or SIGTERM; return when all have ended.

    *embedded*: with servers of our own, whose data live in *data*, or for this run only. Raises
    WrongUsage when a setting is missing or wrong, Failed when `release` fails.
    """
    procfile = read_procfile(surroundings.ROOT / "Procfile")
    with stopped_by_signals() as stop, ExitStack() as servers:
        if embedded or data is not None:
            os.environ.update(servers.enter_context(_own_servers(data)))
        os.environ.update(surroundings.with_ports(os.environ, data, say=remark))
        settings = _settings(embedded=embedded or data is not None)
        lines = ProcessOutput([line.name for line in procfile.processes])
        with surroundings.private_folder() as private:
            names = [line.name for line in procfile.processes]
            readiness = ProcessReadiness(settings, private, names)
            company = RunContext(private, os.environ, lines)
            supervise(procfile, company, stop=stop, then=_teller(readiness, lines, stop))


@dataclass(frozen=True, slots=True)
class RunContext:
    """What the processes of one run have in common."""

    private: Path
    environment: Mapping[str, str]
    say: Say


def supervise(
    procfile: Procfile, company: RunContext, *, stop: Stop, then: Callable[[], None] | None = None
) -> None:
    """Run *procfile* until *stop* is asked; *then* is called when `release` has done its work.

    Raises Failed when `release` fails.
    """
    supervisor = Supervisor(
        environment=surroundings.for_processes(company.environment, private=company.private),
        folder=surroundings.ROOT,
        say=company.say,
        discard=company.private,
    )
    if procfile.release is not None:
        code = supervisor.run_to_end(procfile.release, stop=stop)
        if code and not stop.asked:
            raise Failed(
                f"{procfile.release.command!r} ended with exit code {code}, so nothing else was"
                " started; its lines above say why"
            )
    if then is not None:
        then()
    supervisor.run(procfile.processes, stop=stop)


@contextmanager
def stopped_by_signals() -> Iterator[Stop]:
    """While this lasts, SIGINT, SIGTERM and SIGHUP ask the Stop; a second one is in a hurry."""
    stop = Stop()
    before = {number: signal.signal(number, lambda *_: stop.ask()) for number in _ENDING}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _own_servers(data: Path | None) -> Iterator[dict[str, str]]:
    """Start servers of our own; tell a second terminal how to reach them."""
    for name in surroundings.overridden(os.environ):
        remark(f"{name} is set, but not used: the servers are our own")
        del os.environ[name]
    remark("starting PostgreSQL and Valkey")
    with embedded_servers(data) as servers:
        for server in (servers.postgres, servers.valkey):
            if server.port_before is not None:
                remark(surroundings.moved(server.name, server.port_before, server.port))
        key = surroundings.kept_key(data)
        environment = surroundings.with_servers(os.environ, servers, key=key)
        lines = surroundings.for_another_terminal(environment)
        if data is None:
            remark(f"in another terminal, to use `slipway` with these servers:\n{lines}")
        else:
            file = surroundings.keep_environment(data, lines)
            remark(f"in another terminal, to use `slipway` with these servers: . {file}")
        yield environment


def _settings(*, embedded: bool) -> Settings:
    try:
        return read_settings()
    except InvalidSettings as wrong:
        hint = "" if embedded else "\nWithout servers at hand, try: slipway up --embedded"
        raise WrongUsage(f"{wrong}{hint}") from None


def _teller(readiness: ProcessReadiness, say: Say, stop: Stop) -> Callable[[], None]:
    """What starts a thread that says, once, that all are ready."""

    def tell() -> None:
        pause = threading.Event()
        while readiness.missing():
            if stop.asked:
                return
            pause.wait(_LOOK_SECONDS)
        say(OURSELVES, f"ready: {addresses(readiness)}")

    return threading.Thread(target=tell, daemon=True).start


def pages(readiness: ProcessReadiness) -> str:
    """Where a browser finds the parts that have pages."""
    settings, host = readiness.settings, readiness.host
    return f"gateway http://{host}:{settings.gateway_port}, flower http://{host}:{settings.flower_port}"


def addresses(readiness: ProcessReadiness) -> str:
    """Where all the parts are to be found, without passwords."""
    database = urlsplit(readiness.settings.database_url)
    redis = urlsplit(readiness.settings.redis_url)
    servers = (
        f"PostgreSQL {database.hostname}:{database.port or 5432}{database.path}",
        f"Redis {redis.hostname}:{redis.port or 6379}",
    )
    return ", ".join([pages(readiness), *servers])
