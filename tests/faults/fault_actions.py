"""What each fault does and undoes: a context manager that breaks on entry and mends on exit."""

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Final

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from producers.simulation.partner import Rule, SimulatedPartner
from producers.simulation.partner import behaviour as acts
from tests.faults import server_faults, stream_faults
from tests.faults.backends import Backends
from tests.faults.front_end import nginx, reloading_front_end
from tests.faults.network import EVERYBODY, Line, Network
from tests.faults.process_set import NAMES, Fleet
from tests.faults.reconciliation import asking
from tests.faults.schedule import Fault, Place, Planned
from worker.local.servers import Servers

RUBBISH = (b"", b"{", b"[]", b'{"action":"ticket_win"}', b"\xff\xfe", b"null", b'"\\ud800"')
AN_HOUR = timedelta(hours=1)  # as of a clock that is set to another zone
FAR_AHEAD = timedelta(days=4 * 365)
A_FEW = 12  # less than it takes for a deliverer to give a partner up
CUT_DATABASE = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> "
    "pg_backend_pid() AND backend_type = 'client backend'"
)


@dataclass(frozen=True, slots=True)
class Scene:
    """What there is to break."""

    servers: Servers
    partner: SimulatedPartner
    fleet: Fleet
    network: Network
    redis: Redis  # past every fault of the network
    rng: Random
    backends: Backends


Strike = Callable[[Scene, Planned], AbstractContextManager[None]]


def strike(scene: Scene, planned: Planned) -> AbstractContextManager[None]:
    """Break what *planned* says; it is mended when the block ends."""
    return STRIKES[planned.fault](scene, planned)


@contextmanager
def _killed(scene: Scene, planned: Planned) -> Iterator[None]:
    scene.fleet.strike(signal.SIGKILL, planned.role, scene.rng)
    yield


@contextmanager
def _terminated(scene: Scene, planned: Planned) -> Iterator[None]:
    scene.fleet.strike(signal.SIGTERM, planned.role, scene.rng)
    yield


@contextmanager
def _frozen(scene: Scene, planned: Planned) -> Iterator[None]:
    frozen = scene.fleet.strike(signal.SIGSTOP, planned.role, scene.rng)
    yield
    frozen.process.send_signal(signal.SIGCONT)


@contextmanager
def _valkey_killed(scene: Scene, _planned: Planned) -> Iterator[None]:
    scene.servers.valkey.kill()
    yield
    scene.servers.valkey.start()


@contextmanager
def _valkey_clients_cut(scene: Scene, _planned: Planned) -> Iterator[None]:
    with suppress(RedisError):
        scene.redis.client_kill_filter(_type="normal", skipme=True)
    yield


@contextmanager
def _celery_forgotten(scene: Scene, _planned: Planned) -> Iterator[None]:
    with suppress(RedisError):
        for key in scene.redis.scan_iter(count=1000):
            if not key.startswith("ticket-events"):
                scene.redis.delete(key)
    yield


@contextmanager
def _littered(scene: Scene, _planned: Planned) -> Iterator[None]:
    with suppress(RedisError):
        for rubbish in RUBBISH:
            scene.redis.xadd("ticket-events", {"event": rubbish})
    yield


@contextmanager
def _postgres_killed(scene: Scene, _planned: Planned) -> Iterator[None]:
    scene.servers.postgres.kill()
    yield
    scene.servers.postgres.start()


@contextmanager
def _postgres_clients_cut(scene: Scene, _planned: Planned) -> Iterator[None]:
    with suppress(DBAPIError), asking(scene.servers.database_url) as connection:
        connection.execute(CUT_DATABASE)
    yield


def _partner(behaviour: acts.Behaviour) -> Strike:
    """Make the partner behave so."""

    @contextmanager
    def misbehaving(scene: Scene, planned: Planned) -> Iterator[None]:
        scene.partner.behave(Rule(behaviour, first=A_FEW if planned.mild else None))
        yield
        scene.partner.behave_well()

    return misbehaving


@contextmanager
def _partner_closes(scene: Scene, _planned: Planned) -> Iterator[None]:
    """It works, and keeps no connection: not a fault, and no ticket may suffer from it."""
    scene.partner.behave(Rule(acts.Respond(then_close=True)))
    yield
    scene.partner.behave_well()


@contextmanager
def _partner_reloads(scene: Scene, _planned: Planned) -> Iterator[None]:
    program = nginx()
    assert program is not None, "left out of the plan without it"
    with (
        reloading_front_end(program, scene.partner.port) as port,
        scene.network.detour((EVERYBODY, Place.PARTNER), port),
    ):
        yield


@contextmanager
def _from_the_future(scene: Scene, planned: Planned) -> Iterator[None]:
    ahead = AN_HOUR if planned.mild else FAR_AHEAD
    quiet = scene.backends.hold
    with stream_faults.stream_from_the_future(scene.servers, ahead=ahead, quiet=quiet):
        yield


def _servers(act: Callable[[Servers], AbstractContextManager[None]]) -> Strike:
    """Do to the servers what *act* does."""
    return lambda scene, _planned: act(scene.servers)


def _lines(act: Callable[[Network, Sequence[Line]], AbstractContextManager[None]]) -> Strike:
    """Do to the lines to a place what *act* does: to those of one process, or to all."""

    def strike_lines(scene: Scene, planned: Planned) -> AbstractContextManager[None]:
        name = scene.fleet.any_of(planned.role, scene.rng).name
        ends = [name] if planned.mild else [*NAMES]
        if planned.place is Place.PARTNER:  # its address is the same for all
            ends = [EVERYBODY]
        return act(scene.network, [(end, planned.place) for end in ends])

    return strike_lines


STRIKES: Final[Mapping[Fault, Strike]] = {
    Fault.KILL: _killed,
    Fault.TERMINATE: _terminated,
    Fault.FREEZE: _frozen,
    Fault.VALKEY_KILLED: _valkey_killed,
    Fault.VALKEY_CLIENTS: _valkey_clients_cut,
    Fault.CELERY_FORGOTTEN: _celery_forgotten,
    Fault.POSTGRES_KILLED: _postgres_killed,
    Fault.POSTGRES_CLIENTS: _postgres_clients_cut,
    Fault.PARTNER_ERRORS: _partner(acts.Respond(status=503)),
    Fault.PARTNER_HANGS: _partner(acts.Hang()),
    Fault.PARTNER_HANGS_UP: _partner(acts.CloseWithoutAnswer()),
    Fault.PARTNER_LOSES: _partner(acts.CloseWithoutAnswer(taken=True)),
    Fault.PARTNER_CLOSES: _partner_closes,
    Fault.PARTNER_RELOADS: _partner_reloads,
    Fault.STREAM_FROM_THE_FUTURE: _from_the_future,
    Fault.STREAM_OF_ANOTHER_TYPE: _servers(stream_faults.stream_of_another_type),
    Fault.RUBBISH: _littered,
    Fault.VALKEY_FULL: _servers(server_faults.valkey_out_of_memory),
    Fault.VALKEY_READ_ONLY: _servers(server_faults.valkey_read_only),
    Fault.VALKEY_LACKS_REPLICAS: _servers(server_faults.valkey_lacks_replicas),
    Fault.VALKEY_LONG_READ_ONLY: _servers(server_faults.valkey_read_only),
    Fault.VALKEY_LONG_WITHOUT_REPLICAS: _servers(server_faults.valkey_lacks_replicas),
    Fault.VALKEY_FAILS_OVER: _servers(server_faults.valkey_fails_over),
    Fault.POSTGRES_TABLE_LOCKED: _servers(server_faults.postgres_table_locked),
    Fault.POSTGRES_ROWS_LOCKED: _servers(server_faults.postgres_rows_locked),
    Fault.POSTGRES_DEADLOCKS: _servers(server_faults.postgres_deadlocks),
    Fault.POSTGRES_CONFLICTS: _servers(server_faults.postgres_conflicts),
    Fault.POSTGRES_CANCELS: _servers(server_faults.postgres_statements_cancelled),
    Fault.POSTGRES_ENDS: _servers(server_faults.postgres_sessions_ended),
    Fault.POSTGRES_READ_ONLY: _servers(server_faults.postgres_read_only),
    Fault.POSTGRES_FULL: _servers(server_faults.postgres_full),
    Fault.POSTGRES_SICK: _servers(server_faults.postgres_sick),
    Fault.RESETS: _lines(Network.resets),
    Fault.HALF_OPEN: _lines(Network.half_open),
    Fault.LATENCY: _lines(Network.latency),
    Fault.PARTITION: _lines(Network.partition),
}
