"""Each way in which a server can say no, under load, with real processes: they wait it out.

Nothing is lost, nothing overtakes, nothing is given up, and no process has to be restarted.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import timedelta

import httpx
import pytest
from redis import Redis

from models.database.engine import open_engine
from models.operators.interventions import Person
from models.publishers.keys import add_publisher
from models.settings.settings import Settings
from producers.simulation.backends import PublishedSoFar
from tests.faults import server_faults as acts
from tests.faults.one_of_each import OPERATOR, Trial, one_of_each
from tests.faults.outcomes import is_well, settled
from tests.support import databases
from tests.support.gateway_app import event, serving
from tests.support.hurried_celery import CONSUMER, retries
from tests.support.procfile_processes import Running
from tests.support.server_folders import passable_folder
from tests.support.wait import eventually, pause
from worker.local.servers import Servers, embedded_servers

RECOVERED_MAX = timedelta(seconds=180)
BESIDE_SECONDS = 0.3  # of load before the fault, and after it
SHORT = 1.5
BEYOND_LOCK_TIMEOUT = 4.5  # of 3 s: a statement waits that long, however late it came
UNTIL_DEADLOCKS = 2.5

Act = Callable[[Servers], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is done, for how long, and what a process or PostgreSQL says when it is felt."""

    act: Act
    logged: str = ""
    counted: str = ""
    seconds: float = SHORT


HURRIED = "tests.support.hurried_celery"
FEW_RETRIES = 6
MANY_RETRIES = FEW_RETRIES + 16  # one descriptor for each would be seen
REFUSED_SECONDS = 4.0  # long enough for the first pauses, and some of the longest
SOME_DESCRIPTORS = 8  # a process may have open beside those of a quiet moment
WORKERS = ("intake", "deliver", "sweep")
OPENED_MAX = 200  # by all, the first, quick tries included; some 20 a second are beat's wakeups
LINES_MAX = 40  # of four processes, each with several connections to Redis
SOON = timedelta(seconds=60)  # the longest pause is 5 s, on a machine that is busy

NO_WRITES = [acts.valkey_out_of_memory, acts.valkey_read_only, acts.valkey_lacks_replicas]
FAULTS = {
    "table_locked": Fault(acts.postgres_table_locked, "55P03", seconds=BEYOND_LOCK_TIMEOUT),
    "rows_locked": Fault(acts.postgres_rows_locked, "55P03", seconds=BEYOND_LOCK_TIMEOUT),
    "deadlocks": Fault(acts.postgres_deadlocks, counted="deadlocks", seconds=UNTIL_DEADLOCKS),
    "conflicts": Fault(acts.postgres_conflicts, "40001", seconds=4.0),  # by chance, or 40P01
    "statements_cancelled": Fault(acts.postgres_statements_cancelled, "57014"),
    "sessions_ended": Fault(acts.postgres_sessions_ended, counted="sessions_killed"),
    "read_only": Fault(acts.postgres_read_only, "25006"),
    "no_connection_left": Fault(acts.postgres_full, "OperationalError"),
}


@pytest.fixture(scope="module")
def trial() -> Iterator[Trial]:
    with (
        passable_folder() as folder,
        embedded_servers(durable=False, within=folder) as servers,
        one_of_each(servers, folder) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def gateway(trial: Trial) -> Iterator[httpx.Client]:
    """With a publisher's key."""
    with serving(Settings.model_validate(trial.settings)) as url:
        headers = {"X-Api-Key": publishers_key(trial)}
        with httpx.Client(base_url=url, headers=headers, timeout=20) as client:
            yield client


def publishers_key(trial: Trial) -> str:
    engine = open_engine(trial.servers.database_url, application_name="tests")
    with engine.begin() as connection:
        key = add_publisher(
            connection, "by-http", operators=[OPERATOR], read_only=False, person=Person("t", "t")
        )
    engine.dispose()
    return key


def publish(gateway: httpx.Client) -> httpx.Response:
    return gateway.post("/events", json=event(OPERATOR, "by-http", "ticket_open"))


def all_well(trial: Trial, account: PublishedSoFar) -> None:
    """Wait until all is applied and delivered, in order; no process may have ended."""
    try:
        eventually(lambda: is_well(trial, account), within=RECOVERED_MAX)
    except AssertionError:
        pytest.fail(f"not well in time: {settled(trial, account)}")
    trial.everybody_lives()


def counters(trial: Trial) -> Counter[str]:
    """What PostgreSQL counts of the troubles it makes."""
    deadlocks, killed = databases.ask(
        trial.servers.database_url,
        "SELECT deadlocks, sessions_killed FROM pg_stat_database WHERE datname = 'postgres'",
    )
    return Counter(deadlocks=deadlocks, sessions_killed=killed)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_it_is_waited_out_and_nothing_is_lost(trial: Trial, fault: Fault):
    mentions, counted = trial.logged().count(fault.logged), counters(trial)

    def somebody_meets_it() -> bool:
        with trial.load(seconds=fault.seconds + 2 * BESIDE_SECONDS) as account:
            pause(BESIDE_SECONDS)
            with fault.act(trial.servers):
                pause(fault.seconds)
        all_well(trial, account)
        if fault.logged:
            return trial.logged().count(fault.logged) > mentions
        return counters(trial)[fault.counted] > counted[fault.counted]

    eventually(somebody_meets_it)  # the first time, but for chance


@pytest.mark.slow
@pytest.mark.parametrize("act", NO_WRITES)
def test_a_redis_that_takes_no_writes_is_told_to_publishers_and_waited_out(
    trial: Trial, gateway: httpx.Client, act: Act
):
    """The backends keep what is refused; the gateway says 503, and lets in again afterwards."""
    with trial.load(seconds=SHORT + 2 * BESIDE_SECONDS) as account:
        pause(BESIDE_SECONDS)
        with act(trial.servers):
            refused = publish(gateway)
            kept = eventually(lambda: len(account.unconfirmed))
            pause(SHORT)
        published = publish(gateway)

    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    assert kept > 0
    assert published.status_code == 202
    all_well(trial, account)


@pytest.mark.slow
@pytest.mark.parametrize("act", [*NO_WRITES[1:], acts.valkey_keys_of_another_type])
def test_while_redis_refuses_connections_are_neither_lost_nor_opened_at_once(
    trial: Trial, act: Act
):
    """Celery's own consumer loses 4 descriptors a second and writes 7 lines a second."""
    held = descriptors(trial)
    lines = trial.logged().count("\n")
    unavailable = trial.logged().count("broker_unavailable") + len(WORKERS)
    with Redis.from_url(trial.servers.redis_url) as valkey:
        opened = -valkey.info("stats")["total_connections_received"]
        with act(trial.servers):
            pause(REFUSED_SECONDS)
            eventually(lambda: trial.logged().count("broker_unavailable") >= unavailable)
            more = {name: many - held[name] for name, many in descriptors(trial).items()}
            written = trial.logged()
            opened += valkey.info("stats")["total_connections_received"]

    with trial.load(seconds=BESIDE_SECONDS) as account:
        pass
    eventually(lambda: is_well(trial, account), within=SOON)
    assert {name: many for name, many in more.items() if many > SOME_DESCRIPTORS} == {}
    assert written.count("\n") - lines <= LINES_MAX
    assert opened <= OPENED_MAX
    eventually(lambda: trial.logged().count("broker_available") >= len(WORKERS))
    trial.everybody_lives()


def descriptors(trial: Trial) -> dict[str, int]:
    """How many each process holds; to its partner a deliverer connects as often as it has to."""
    return {
        process.name: process.descriptors(but_to=trial.partner.port) for process in trial.processes
    }


@pytest.mark.slow
def test_no_number_of_retries_costs_a_descriptor(trial: Trial):
    """The pauses between tries are a hundredth of the usual ones; two outages, one by one."""
    process = Running(
        "deliver", env=trial.environment, folder=trial.folder, number=2, celery=HURRIED
    )
    with ExitStack() as ending:
        ending.callback(process.kill)
        more = []
        for act in NO_WRITES[1:]:
            with act(trial.servers):
                eventually(lambda: has_tried(trial, process, FEW_RETRIES))
                # Not those before the first outage, in which it has not connected to all it uses.
                held = process.descriptors(but_to=trial.partner.port)
                eventually(lambda: has_tried(trial, process, MANY_RETRIES))
                more.append(process.descriptors(but_to=trial.partner.port) - held)
            eventually(lambda: not has_tried(trial, process, FEW_RETRIES))

    assert max(more) <= SOME_DESCRIPTORS


def has_tried(trial: Trial, process: Running, many: int) -> bool:
    """Whether it has reconnected to the broker so many times in vain, and has not ended."""
    process.must_live()
    return retries(trial.folder, process.pid).get(CONSUMER, 0) >= many


@pytest.mark.slow
def test_after_a_failover_all_of_them_follow_the_new_primary(trial: Trial, gateway: httpx.Client):
    """The old one lives on as a replica: who is connected to it learns that from its refusals.

    Then the new one is killed, when its replica has everything, and that takes its place.
    """
    with trial.load(seconds=SHORT) as before, acts.valkey_fails_over(trial.servers):
        with trial.load(seconds=SHORT) as between:
            eventually(lambda: publish(gateway).status_code == 202)
        all_well(trial, between)
    with trial.load(seconds=SHORT) as after:
        pause(BESIDE_SECONDS)

    for account in (before, between, after):
        all_well(trial, account)
