"""What each fault does and undoes: a context manager that breaks on entry and repairs on exit."""

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
from tests.faults.network import EVERYBODY, Network
from tests.faults.process_set import NAMES, ProcessSet
from tests.faults.reconciliation import asking
from tests.faults.relays import Line
from tests.faults.schedule import Fault, Place, Planned
from tests.faults.surroundings import Surroundings
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
class FaultTargets:
    """What there is to break."""

    servers: Servers
    partner: SimulatedPartner
    processes: ProcessSet
    network: Network
    redis: Redis  # past every fault of the network
    rng: Random
    backends: Backends
    surroundings: Surroundings | None = None  # what stands before the servers, if anything does


Action = Callable[[FaultTargets, Planned], AbstractContextManager[None]]


def inject(targets: FaultTargets, planned: Planned) -> AbstractContextManager[None]:
    """Break what *planned* says; it is repaired when the block ends."""
    return ACTIONS[planned.fault](targets, planned)


@contextmanager
def _killed(targets: FaultTargets, planned: Planned) -> Iterator[None]:
    targets.processes.send_signal(signal.SIGKILL, planned.role, targets.rng)
    yield


@contextmanager
def _terminated(targets: FaultTargets, planned: Planned) -> Iterator[None]:
    targets.processes.send_signal(signal.SIGTERM, planned.role, targets.rng)
    yield


@contextmanager
def _frozen(targets: FaultTargets, planned: Planned) -> Iterator[None]:
    frozen = targets.processes.send_signal(signal.SIGSTOP, planned.role, targets.rng)
    yield
    frozen.process.send_signal(signal.SIGCONT)


@contextmanager
def _valkey_killed(targets: FaultTargets, _planned: Planned) -> Iterator[None]:
    targets.servers.valkey.kill()
    yield
    targets.servers.valkey.start()


@contextmanager
def _valkey_clients_cut(targets: FaultTargets, _planned: Planned) -> Iterator[None]:
    with suppress(RedisError):
        targets.redis.client_kill_filter(_type="normal", skipme=True)
    yield


@contextmanager
def _celery_forgotten(targets: FaultTargets, _planned: Planned) -> Iterator[None]:
    with suppress(RedisError):
        for key in targets.redis.scan_iter(count=1000):
            if not key.startswith("ticket-events"):
                targets.redis.delete(key)
    yield


@contextmanager
def _littered(targets: FaultTargets, _planned: Planned) -> Iterator[None]:
    with suppress(RedisError):
        for rubbish in RUBBISH:
            targets.redis.xadd("ticket-events", {"event": rubbish})
    yield


@contextmanager
def _postgres_killed(targets: FaultTargets, _planned: Planned) -> Iterator[None]:
    targets.servers.postgres.kill()
    yield
    targets.servers.postgres.start()


@contextmanager
def _postgres_clients_cut(targets: FaultTargets, _planned: Planned) -> Iterator[None]:
    with suppress(DBAPIError), asking(targets.servers.database_url) as connection:
        connection.execute(CUT_DATABASE)
    yield


def _partner(behaviour: acts.Behaviour) -> Action:
    """Make the partner behave so."""

    @contextmanager
    def misbehaving(targets: FaultTargets, planned: Planned) -> Iterator[None]:
        targets.partner.behave(Rule(behaviour, first=A_FEW if planned.mild else None))
        yield
        targets.partner.behave_well()

    return misbehaving


@contextmanager
def _partner_closes(targets: FaultTargets, _planned: Planned) -> Iterator[None]:
    """It works, and keeps no connection: not a fault, and no ticket may suffer from it."""
    targets.partner.behave(Rule(acts.Respond(then_close=True)))
    yield
    targets.partner.behave_well()


@contextmanager
def _partner_is_odd(targets: FaultTargets, _planned: Planned) -> Iterator[None]:
    """It works, in every form that HTTP allows: not a fault, and no ticket may suffer from it."""
    for rule in odd_rules():
        targets.partner.behave(rule)
    yield
    targets.partner.behave_well()


def odd_rules() -> Iterator[Rule]:
    """Yield a rule for each form that HTTP allows; a create is answered 200 in any case.

    The last ones apply first, so the results in any order meet both of theirs.
    """
    for habit in acts.Habit:
        yield Rule(acts.Respond(body=b'{"ok":true}', habit=habit), first=A_FEW)
    for status, action in ((204, "ticket_win"), (205, "ticket_lost")):
        yield Rule(acts.Respond(status), action=action, first=A_FEW)


@contextmanager
def _partner_reloads(targets: FaultTargets, _planned: Planned) -> Iterator[None]:
    program = nginx()
    assert program is not None, "left out of the plan without it"
    with (
        reloading_front_end(program, targets.partner.port) as port,
        targets.network.detour((EVERYBODY, Place.PARTNER), port),
    ):
        yield


@contextmanager
def _from_the_future(targets: FaultTargets, planned: Planned) -> Iterator[None]:
    ahead = AN_HOUR if planned.mild else FAR_AHEAD
    quiet = targets.backends.hold
    with stream_faults.stream_from_the_future(targets.servers, ahead=ahead, quiet=quiet):
        yield


def _servers(act: Callable[[Servers], AbstractContextManager[None]]) -> Action:
    """Do to the servers what *act* does."""
    return lambda targets, _planned: act(targets.servers)


@contextmanager
def _valkey_fails_over(targets: FaultTargets, _planned: Planned) -> Iterator[None]:
    if targets.surroundings is None:
        with server_faults.valkey_fails_over(targets.servers):
            yield
    else:
        with targets.surroundings.valkey_fails_over():
            yield


@contextmanager
def _postgres_fails_over(targets: FaultTargets, _planned: Planned) -> Iterator[None]:
    assert targets.surroundings is not None, "left out of the plan without a standby"
    with targets.surroundings.postgres_fails_over():
        yield


def _lines(act: Callable[[Network, Sequence[Line]], AbstractContextManager[None]]) -> Action:
    """Do to the lines to a place what *act* does: to those of one process, or to all."""

    def act_on_lines(targets: FaultTargets, planned: Planned) -> AbstractContextManager[None]:
        name = targets.processes.any_of(planned.role, targets.rng).name
        ends = [name] if planned.mild else [*NAMES]
        if (EVERYBODY, planned.place) in targets.network.lines:  # its address is the same for all
            ends = [EVERYBODY]
        return act(targets.network, [(end, planned.place) for end in ends])

    return act_on_lines


ACTIONS: Final[Mapping[Fault, Action]] = {
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
    Fault.PARTNER_GIVES_NO_RESPONSE: _partner(acts.CloseWithoutAnswer()),
    Fault.PARTNER_LOSES: _partner(acts.CloseWithoutAnswer(taken=True)),
    Fault.PARTNER_CLOSES: _partner_closes,
    Fault.PARTNER_IS_ODD: _partner_is_odd,
    Fault.PARTNER_RELOADS: _partner_reloads,
    Fault.STREAM_FROM_THE_FUTURE: _from_the_future,
    Fault.STREAM_OF_ANOTHER_TYPE: _servers(stream_faults.stream_of_another_type),
    Fault.RUBBISH: _littered,
    Fault.VALKEY_FULL: _servers(server_faults.valkey_out_of_memory),
    Fault.VALKEY_READ_ONLY: _servers(server_faults.valkey_read_only),
    Fault.VALKEY_LACKS_REPLICAS: _servers(server_faults.valkey_lacks_replicas),
    Fault.VALKEY_LONG_READ_ONLY: _servers(server_faults.valkey_read_only),
    Fault.VALKEY_LONG_WITHOUT_REPLICAS: _servers(server_faults.valkey_lacks_replicas),
    Fault.VALKEY_FAILS_OVER: _valkey_fails_over,
    Fault.POSTGRES_FAILS_OVER: _postgres_fails_over,
    Fault.POSTGRES_TABLE_LOCKED: _servers(server_faults.postgres_table_locked),
    Fault.POSTGRES_ROWS_LOCKED: _servers(server_faults.postgres_rows_locked),
    Fault.POSTGRES_DEADLOCKS: _servers(server_faults.postgres_deadlocks),
    Fault.POSTGRES_CONFLICTS: _servers(server_faults.postgres_conflicts),
    Fault.POSTGRES_CANCELS: _servers(server_faults.postgres_statements_cancelled),
    Fault.POSTGRES_ENDS: _servers(server_faults.postgres_sessions_ended),
    Fault.POSTGRES_READ_ONLY: _servers(server_faults.postgres_read_only),
    Fault.POSTGRES_FULL: _servers(server_faults.postgres_full),
    Fault.POSTGRES_INTERNAL_ERRORS: _servers(server_faults.postgres_internal_errors),
    Fault.RESETS: _lines(Network.resets),
    Fault.HALF_OPEN: _lines(Network.half_open),
    Fault.LATENCY: _lines(Network.latency),
    Fault.PARTITION: _lines(Network.partition),
}
