"""The rules in `deploy/redis/users.acl`: each user can do what it needs, and nothing else.

A server of its own, whose configuration includes the file as an operator's would.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError
from redis.retry import Retry
from sqlalchemy import Engine, text

from producers.publisher import Publisher
from producers.publisher.append import StreamAppender
from tests.support.bare_clients import celery_backend, produce, put
from tests.support.celery_process import celery, end, environment, must_live
from tests.support.guarded_server import Guarded, guarded_server
from tests.support.harness import OPERATOR, Harness
from tests.support.manual_clock import ManualClock
from tests.support.tls_redis import redis_program
from tests.support.wait import eventually

ALL_AT_ONCE = ("worker", "-n", "all@test", "-Q", "intake,deliver,sweep", "-P", "threads", "-c", "2",
               "-E", "-B", "--without-gossip", "--without-mingle")  # fmt: skip
EVENTS = text("SELECT event_id FROM ticket_event ORDER BY event_id")
TICKET = {"operator": OPERATOR, "ticket_id": "T"}
LISTS = ("tickets", "tickets\x06\x163", "tickets\x06\x166", "tickets\x06\x169")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded_server(tmp_path_factory.mktemp("guarded")) as server:
        yield server


@pytest.fixture
def admin(guarded: Guarded) -> Iterator[Redis]:
    with guarded.as_("default") as client:
        client.flushall()
        client.acl_log_reset()
        yield client


def allowed(admin: Redis, user: str) -> set[str]:
    """The commands, subcommands included, that *user* may give with some argument."""
    given = set()
    for name, facts in admin.command().items():
        for command, arity in parts(name, facts):
            reply = admin.acl_dryrun(user, *command, *["1"] * (arity - len(command)))
            if "no permissions to run" not in str(reply):
                given.add("|".join(command))
    return given


def parts(name: str, facts: dict[str, Any]) -> list[tuple[list[str], int]]:
    """A command, or its subcommands where it has some, each with the number of its words."""
    subcommands = facts["subcommands"]
    if not subcommands:
        return [([name], abs(facts["arity"]))]
    return [(subcommand[0].decode().split("|"), abs(subcommand[1])) for subcommand in subcommands]


def harmless_talk(admin: Redis) -> set[str]:
    """What a client reports about itself and its connection."""
    talk, *power = (
        {str(command) for command in admin.acl_cat(category)}
        for category in ("connection", "admin", "dangerous")
    )
    return talk.difference(*power)


# --- a backend ---


def test_a_backend_publishes_with_our_publisher_confirmed_on_disk(guarded, admin):
    publisher = Publisher.at(guarded.url("slipway-backend"), waitaof_ms=2000)
    events = [{"action": "ticket_win", "data": {**TICKET, "ticket_id": str(n)}} for n in range(3)]

    publisher.publish_many(events)
    publisher.close()

    assert admin.xlen("ticket-events") == 3
    assert admin.acl_log() == []


def test_a_backend_may_do_nothing_else(guarded, admin):
    may = allowed(admin, "slipway-backend")

    where_the_stream_is = {"cluster|slots"}  # on a cluster
    adding = {"xadd", "multi", "exec", "discard"}
    assert may - harmless_talk(admin) == adding | where_the_stream_is
    assert "waitaof" in may
    with guarded.as_("slipway-backend") as backend:
        for key in ("deliver", "tickets", "ticket-events:moments"):
            with pytest.raises(NoPermissionError):
                backend.xadd(key, {"event": "x"})


def test_the_gateway_asks_with_a_backend_s_rights_whether_events_are_taken(guarded, admin):
    """`/readyz`: on no stream, on one that never held an entry, and on one that holds some."""
    with guarded.as_("slipway-backend") as client:
        adding = StreamAppender(client, waitaof_ms=1000)
        adding.require_writable()
        assert admin.keys() == []
        admin.xgroup_create("ticket-events", "slipway", mkstream=True)
        adding.require_writable()
        assert admin.xlen("ticket-events") == 0
        adding.add([{b"event": b"{}"}])
        adding.require_writable()

    assert admin.xlen("ticket-events") == 1
    assert admin.acl_log() == []


# --- a Celery application, a kombu producer ---


def test_a_bare_celery_application_sends_at_every_priority(guarded, admin):
    with celery_backend(guarded.url("slipway-celery")) as app:
        for priority in (0, 3, 6, 9):
            app.send_task("ticket_win", kwargs=TICKET, queue="tickets", priority=priority)

    assert [admin.llen(name) for name in LISTS] == [1, 1, 1, 1]
    assert admin.acl_log() == []


def test_a_bare_kombu_producer_sends(guarded, admin):
    event: dict[str, object] = {"action": "ticket_win", "data": TICKET}

    produce(guarded.url("slipway-celery"), event)
    produce(guarded.url("slipway-celery"), event, declared=True)
    put(guarded.url("slipway-celery"), event)

    assert admin.llen("tickets") == 3
    assert admin.acl_log() == []


def test_who_sends_to_the_queue_may_do_nothing_else(guarded, admin):
    admin.lpush("tickets", "somebody's")
    pushing = {"lpush", "llen", "exists", "sadd", "smembers", "multi", "exec", "discard"}

    assert allowed(admin, "slipway-celery") - harmless_talk(admin) == pushing
    with guarded.as_("slipway-celery") as backend:
        for forbidden in (
            ("LPUSH", "deliver", "x"),
            ("LPUSH", "tickets:other", "x"),
            ("SADD", "_kombu.binding.deliver", "x"),
            ("SADD", "tickets-read", "x"),
            ("RPOP", "tickets"),
            ("LRANGE", "tickets", "0", "-1"),
            ("XADD", "ticket-events", "*", "event", "x"),
        ):
            with pytest.raises(NoPermissionError):
                backend.execute_command(*forbidden)


# --- KEDA ---


def asks_like_keda(server: Guarded, *, database: int) -> int:
    """What its scaler sends, in its order; the lag that it then scales by.

    The commands of KEDA's redis_streams_scaler.go. redis-py connects with those of go-redis 9:
    HELLO 3 AUTH, SELECT, CLIENT SETINFO.
    """
    with Redis.from_url(server.url("slipway-scaling", database=database), protocol=3) as keda:
        assert keda.ping()
        assert int(keda.info()["redis_version"].split(".")[0]) >= 7
        (group,) = keda.xinfo_groups("ticket-events")
        assert keda.xlen("ticket-events") == 7  # asked while there is no such group
    return int(group["lag"])


def program(name: str) -> str | None:
    return redis_program() if name == "Redis 7.0" else None


@pytest.mark.parametrize("database", [0, 3])
@pytest.mark.parametrize("server", ["Valkey", "Redis 7.0"])
def test_keda_reads_how_far_the_group_is_behind(tmp_path: Path, server, database):
    with (
        guarded_server(tmp_path, program=program(server)) as running,
        running.as_("default", database=database) as admin,
    ):
        admin.xgroup_create("ticket-events", "slipway", mkstream=True)
        for number in range(7):
            admin.xadd("ticket-events", {"event": str(number)})
        admin.xreadgroup("slipway", "intake", {"ticket-events": ">"}, count=3)
        admin.acl_log_reset()

        lag = asks_like_keda(running, database=database)

        assert lag == 4
        assert admin.acl_log() == []


def test_keda_reads_no_entry_and_changes_nothing(guarded, admin):
    admin.xadd("ticket-events", {"event": "{}"})
    admin.xadd("elsewhere", {"event": "{}"})

    may = allowed(admin, "slipway-scaling")

    assert may - harmless_talk(admin) == {"info", "xinfo|groups", "xlen", "cluster|slots"}
    with guarded.as_("slipway-scaling") as keda:
        for forbidden in (
            ("XRANGE", "ticket-events", "-", "+"),
            ("XINFO", "STREAM", "ticket-events"),
            ("XADD", "ticket-events", "*", "event", "x"),
            ("XLEN", "elsewhere"),
            ("XINFO", "GROUPS", "elsewhere"),
            ("CONFIG", "GET", "*"),
        ):
            with pytest.raises(NoPermissionError):
                keda.execute_command(*forbidden)


# --- Slipway itself ---


@pytest.mark.slow
def test_the_workers_can_do_all_they_need(guarded, admin, tmp_path, database, engine: Engine):
    """Intake from stream and Celery queue, deliveries, sweeps and beat, in one process for once."""
    harness = Harness(engine, ManualClock())
    harness.add_operator()
    harness.disable()  # no partner is there to be notified
    env = environment(
        tmp_path,
        database_url=database,
        redis_url=guarded.url("slipway-worker"),
        sweep_interval="200ms",
    )
    publisher = Publisher.at(guarded.url("slipway-backend"))
    publisher.publish({"event_id": "1", "action": "ticket_win", "data": TICKET})
    with celery_backend(guarded.url("slipway-celery")) as app:
        app.send_task("ticket_rollback", kwargs=TICKET, queue="tickets", task_id="2")
    log = tmp_path / "log"

    with celery(*ALL_AT_ONCE, env=env, log=log) as worker:

        def done() -> bool:
            must_live(worker, log)
            return seen(engine) == ["1", "2"] and admin.zcard("ticket-events:moments") > 0

        eventually(done)
        code = end(worker)
    publisher.close()

    assert code == 0
    assert admin.acl_log() == []
    assert admin.xlen("ticket-events") == 0
    assert not [line for line in lines(log) if line.get("level") == "ERROR"]


def seen(engine: Engine) -> list[str]:
    with engine.begin() as connection:
        return list(connection.execute(EVENTS).scalars())


def lines(log: Path) -> list[dict[str, object]]:
    log_lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return [json.loads(line) for line in log_lines if line.startswith("{")]


@pytest.mark.parametrize(
    "forbidden",
    [
        ("FLUSHALL",),
        ("CONFIG", "SET", "maxmemory", "1"),
        ("KEYS", "*"),
        ("SHUTDOWN",),
        ("ACL", "LIST"),
        ("REPLICAOF", "NO", "ONE"),
        ("CLIENT", "KILL", "ID", "1"),
    ],
)
def test_the_workers_have_no_say_over_the_server(guarded, forbidden):
    with guarded.as_("slipway-worker") as worker, pytest.raises(NoPermissionError):
        worker.execute_command(*forbidden)


def test_without_a_name_and_a_password_nobody_gets_in(guarded):
    with (
        Redis(port=guarded.port, retry=Retry(NoBackoff(), 0)) as stranger,
        pytest.raises(AuthenticationError),
    ):
        stranger.ping()
