"""`slipway doctor` writes, reads the session's settings, and looks for lost messages."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery
from cryptography.fernet import Fernet
from redis import Redis
from sqlalchemy import make_url, text

from models.events.stream_contract import STREAM
from tests.support import databases
from tests.support.closed_port import closed_port
from tests.support.command_line import CommandLine
from worker.doctor.connections import check_database_protection, check_redis_protection
from worker.doctor.finding import Finding, State
from worker.doctor.misplaced_messages import check_misplaced_messages
from worker.intake.celery_queue import CeleryQueue
from worker.process.queues import DEAD_LETTERS

REFUSING = text("""
    CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'sick' USING ERRCODE = TG_ARGV[0]; END $$""")


@pytest.fixture
def slipway(monkeypatch, capsys, database) -> CommandLine:
    """A set-up whose Redis is unavailable, so that no test waits for workers to respond."""
    line = CommandLine(monkeypatch, capsys)
    line.export(
        database_url=database,
        redis_url=f"redis://127.0.0.1:{closed_port()}/0",
        secret_key=Fernet.generate_key().decode(),
    )
    return line


def findings_by_part(slipway: CommandLine) -> dict[str, list[dict[str, Any]]]:
    """All findings, by part."""
    by_part: dict[str, list[dict[str, Any]]] = {}
    for finding in slipway("doctor", "--json").document()["findings"]:
        by_part.setdefault(finding["part"], []).append(finding)
    return by_part


def test_it_writes_and_leaves_nothing(slipway, database):
    (finding,) = findings_by_part(slipway)["PostgreSQL writes"]

    assert (finding["state"], finding["detail"]) == (
        "ok",
        "a row was written, removed and committed",
    )
    assert databases.ask(database, "SELECT count(*) FROM rejected_input") == (0,)


@pytest.mark.parametrize("sqlstate", ["XX000", "23514", "53100", "42501"])
def test_a_refused_write_is_wrong(slipway, engine, sqlstate):
    with engine.begin() as connection:
        connection.execute(REFUSING)
        connection.execute(
            text(
                "CREATE TRIGGER refuse BEFORE INSERT ON rejected_input FOR EACH ROW"
                f" EXECUTE FUNCTION refuse('{sqlstate}')"
            )
        )

    (finding,) = findings_by_part(slipway)["PostgreSQL writes"]

    assert finding["state"] == "wrong"
    assert finding["detail"] == f"refused: sick (SQLSTATE {sqlstate})"


def test_a_database_that_was_made_read_only_is_wrong(slipway, database):
    """As some providers do when the disk is nearly full: nothing of ours overrules that."""
    name = make_url(database).database
    with databases.owner(database) as person:
        person.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())

    (finding,) = findings_by_part(slipway)["PostgreSQL writes"]

    assert finding["state"] == "wrong"
    assert "SQLSTATE 25006" in finding["detail"]
    assert "default_transaction_read_only" in finding["remedy"]


def test_it_shows_what_a_session_really_has(slipway, database):
    name = make_url(database).database
    with databases.owner(database) as person:
        person.execute(f"ALTER DATABASE {name} SET timezone = 'Europe/Berlin'".encode())

    details = [finding["detail"] for finding in findings_by_part(slipway)["PostgreSQL"]]

    assert any(
        "read committed, UTC, UTF8, statement_timeout 10s, lock_timeout 3s" in detail
        for detail in details
    )


def test_a_database_on_this_machine_needs_no_encryption(slipway):
    (finding,) = findings_by_part(slipway)["PostgreSQL connection"]

    assert (finding["state"], "does not leave this machine" in finding["detail"]) == ("ok", True)


@pytest.mark.parametrize(
    ("host", "version", "sslmode", "state", "detail"),
    [
        ("10.1.2.3", None, "prefer", State.DOUBTFUL, "not encrypted (sslmode=prefer)"),
        ("10.1.2.3", "TLSv1.3", "prefer", State.DOUBTFUL, "does not verify"),
        ("10.1.2.3", "TLSv1.3", "require", State.DOUBTFUL, "does not verify"),
        ("10.1.2.3", "TLSv1.3", "verify-ca", State.DOUBTFUL, "does not verify"),
        ("10.1.2.3", "TLSv1.3", "verify-full", State.OK, "encrypted (TLSv1.3)"),
        ("::1", None, "prefer", State.OK, "does not leave this machine"),
        ("/var/run/postgresql", None, "prefer", State.OK, "does not leave this machine"),
    ],
)
def test_the_line_to_postgresql_is_described(host, version, sslmode, state, detail):
    finding = check_database_protection(host, version=version, sslmode=sslmode)

    assert finding.state is state
    assert detail in finding.detail


@pytest.mark.parametrize(
    ("url", "state", "detail"),
    [
        ("redis://127.0.0.1:6379/0", State.OK, "does not leave this machine"),
        ("redis://localhost:6379/0", State.OK, "does not leave this machine"),
        ("redis://[::1]:6379/0", State.OK, "does not leave this machine"),
        ("redis://user:hidden@10.1.2.3:6379/0", State.DOUBTFUL, "not encrypted"),
        ("redis://user:hidden@redis.example/0", State.DOUBTFUL, "not encrypted"),
        ("rediss://redis.example/0", State.OK, "the server is verified"),
    ],
)
def test_the_line_to_redis_is_described(url: str, state: State, detail: str):
    finding = check_redis_protection(
        url, part="Redis", variable="SLIPWAY_REDIS_URL", now=datetime(2026, 11, 20, tzinfo=UTC)
    )

    assert finding.state is state
    assert detail in finding.detail
    assert "hidden" not in str(finding)


@pytest.fixture
def backend(redis_url: str) -> Iterator[Celery]:
    """A foreign Celery application with its default settings."""
    app = Celery("backend", broker=redis_url, set_as_current=False)
    yield app
    app.close()


def only(findings: Iterator[Finding]) -> Finding:
    (finding,) = findings
    return finding


def test_without_lost_messages_all_is_well(redis: Redis):
    assert only(check_misplaced_messages(redis, holds_stream=True)).state is State.OK


@pytest.mark.parametrize("priority", [None, 3, 9])
def test_a_task_sent_without_a_queue_is_found_and_the_line_shown_moves_it(
    redis, redis_url, backend, priority
):
    data = {"operator": "acme", "ticket_id": "T"}
    for _ in range(2):
        backend.send_task("ticket_win", kwargs=data, priority=priority)

    finding = only(check_misplaced_messages(redis, holds_stream=True))

    assert finding.state is State.WRONG
    assert "2 wait in the queue celery" in finding.detail
    assert 'queue="tickets"' in str(finding.remedy)
    if not shutil.which("redis-cli"):
        pytest.skip("redis-cli is not installed")
    line = str(finding.remedy).partition("oldest first: ")[2]
    environment = {**os.environ, "SLIPWAY_REDIS_URL": redis_url}
    subprocess.run(["/bin/sh", "-ec", line], env=environment, check=True, capture_output=True)
    assert CeleryQueue(redis).drain().messages == 2
    assert redis.xlen(STREAM) == 2
    assert only(check_misplaced_messages(redis, holds_stream=True)).state is State.OK


def test_a_task_without_a_queue_is_found_on_the_redis_of_the_stream_beside_a_broker(redis, backend):
    backend.send_task("ticket_win", kwargs={"operator": "acme"})

    finding = only(check_misplaced_messages(redis, holds_stream=True, is_broker=False))

    assert finding.state is State.WRONG


@pytest.mark.parametrize("queue", ["ticket", "Tickets"])
def test_a_task_in_a_queue_of_a_name_that_is_not_ours_is_doubtful(redis, backend, queue):
    backend.send_task("ticket_win", kwargs={"operator": "acme"}, queue=queue)

    finding = only(check_misplaced_messages(redis, holds_stream=True))

    assert finding.state is State.DOUBTFUL
    assert f"1 wait in the queue '{queue}'" in finding.detail
    assert 'queue="tickets"' in str(finding.remedy)


def test_events_on_a_broker_apart_are_found(redis, backend):
    backend.send_task("ticket_win", kwargs={"operator": "acme"}, queue="tickets")

    assert only(check_misplaced_messages(redis, holds_stream=True)).state is State.OK
    finding = only(check_misplaced_messages(redis, holds_stream=False))

    assert finding.state is State.WRONG
    assert "SLIPWAY_BROKER_URL, where it is not read" in finding.detail


def test_dead_letters_and_messages_that_were_never_finished_are_doubtful(redis):
    redis.lpush(DEAD_LETTERS, json.dumps({"queue": "deliver", "reason": "not JSON"}))
    long_ago = datetime.now(UTC) - timedelta(hours=3)  # noqa: TID251 - Redis' clock is this machine's
    redis.zadd("unacked_index", {"tag": long_ago.timestamp()})

    findings = [*check_misplaced_messages(redis, holds_stream=True)]

    assert {finding.state for finding in findings} == {State.DOUBTFUL}
    assert [DEAD_LETTERS in finding.detail for finding in findings] == [True, False]
    assert "3 h ago" in findings[1].detail


def test_a_broker_that_refuses_the_question_to_the_workers_is_wrong(slipway, redis, redis_url):
    """Not unknown: it was asked, and said no."""
    redis.acl_setuser(
        "limited",
        enabled=True,
        passwords=["+pass"],
        keys=["*"],
        channels=["*"],
        commands=["+@all", "-sadd"],
    )
    port = make_url(redis_url).port
    slipway.export(redis_url=f"redis://limited:pass@127.0.0.1:{port}/0")

    findings = findings_by_part(slipway)

    redis.acl_deluser("limited")
    (finding,) = findings["workers"]
    assert finding["state"] == "wrong"
    assert "Celery needs a broker" in finding["remedy"]
