"""Passwords of the servers change without a gap, in the steps of deploy/SECRETS.md."""

import hashlib
from collections.abc import Iterator

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError
from redis.retry import Retry
from sqlalchemy import make_url

from models.database.engine import open_engine
from models.migrations.runner import upgrade
from tests.support import databases
from tests.support.delivery_setup import delivery_setup_on
from tests.support.manual_clock import ManualClock

OLD, NEW = "the-password-of-last-year", "the-password-of-this-year"
STEPS = (
    "CREATE ROLE {second} LOGIN PASSWORD '{new}' IN ROLE {first}; "
    "ALTER ROLE {second} SET role = '{first}'"
)
MAKE = "CREATE ROLE {first} LOGIN PASSWORD '{old}'; GRANT ALL ON SCHEMA public TO {first}"
CLEAR = "DROP OWNED BY {first}, {second}; DROP ROLE {second}; DROP ROLE {first}"
ROLES = {"first": "rotated_first", "second": "rotated_second", "old": OLD, "new": NEW}


def sha256(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


def change(redis: Redis, user: str, *rules: str) -> None:
    redis.execute_command("ACL", "SETUSER", user, *rules)  # type: ignore[no-untyped-call]  # redis-py's


@pytest.fixture
def worker(redis: Redis) -> Iterator[str]:
    name = "rotated-worker"
    change(redis, name, "on", f"#{sha256(OLD)}", "~*", "+@all")
    yield name
    redis.acl_deluser(name)


def test_both_passwords_of_a_redis_user_open_until_the_old_one_is_taken_away(
    redis: Redis, worker: str
):
    place = redis.get_connection_kwargs()
    address = {"host": place["host"], "port": place["port"], "username": worker}

    def opens(password: str) -> bool:
        with Redis(**address, password=password, retry=Retry(NoBackoff(), 0)) as client:
            try:
                return bool(client.ping())
            except AuthenticationError:
                return False

    change(redis, worker, f"#{sha256(NEW)}")
    meanwhile = [opens(OLD), opens(NEW)]
    change(redis, worker, f"!{sha256(OLD)}")

    assert meanwhile == [True, True]
    assert [opens(OLD), opens(NEW)] == [False, True]


@pytest.fixture
def roles(empty_database: str) -> Iterator[str]:
    with databases.owner(empty_database) as connection:
        for statement in MAKE.format(**ROLES).split("; "):
            connection.execute(statement.encode())
    yield empty_database
    with databases.owner(empty_database) as connection:
        for statement in CLEAR.format(**ROLES).split("; "):
            connection.execute(statement.encode())


def test_a_second_database_user_does_all_that_the_first_one_did(roles: str):
    """It works on its tables and migrates them, and the first one may go on meanwhile."""

    def url(user: str, password: str) -> str:
        made = make_url(roles).set(username=user, password=password)
        return made.render_as_string(hide_password=False)

    first, second = url(ROLES["first"], OLD), url(ROLES["second"], NEW)
    upgrade(first)
    with databases.owner(roles) as connection:
        for statement in STEPS.format(**ROLES).split("; "):
            connection.execute(statement.encode())

    upgrade(second)
    for number, user in enumerate((second, first)):
        engine = open_engine(user, application_name="tests")
        with delivery_setup_on(engine, ManualClock()) as delivery:
            if not number:
                delivery.operator("acme", "http://127.0.0.1:9/")
            delivery.publish("acme", ("ticket_win", f"T{number}"))
        engine.dispose()

    assert databases.ask(roles, "SELECT count(*) FROM ticket") == (2,)
    owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
    assert databases.ask(roles, owners) == (ROLES["first"],)
