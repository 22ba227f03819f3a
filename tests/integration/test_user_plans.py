"""What the console and the API ask for every request reads one row, however many there are."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import Engine, text

from models.idempotency import keep_response, kept_response, keyed_request
from models.idempotency.responses import KEPT_FOR
from models.users import (
    Role,
    add_token,
    external_user,
    find_session,
    find_token,
    find_user,
    list_sessions,
    sign_out_user,
)
from models.users.failures import count_try
from tests.support import databases
from tests.support.manual_clock import ManualClock
from tests.support.plans import plans_of
from tests.support.users import ADMIN, LIMITS, added_user, signed_in
from worker.local.servers import Servers

MANY = 20_000
CROWD = (
    """INSERT INTO user_account (name, name_key, role, source, subject)
       SELECT 'u' || n, 'u' || n, 'viewer', 'oidc', 's' || n FROM generate_series(1, :many) n""",
    """INSERT INTO user_session
              (token_hash, user_id, started_at, seen_at, ends_at, remote, client)
       SELECT 'h' || id, id, :now, :now, CAST(:now AS timestamptz) + interval '12 h', '', ''
         FROM user_account WHERE name LIKE 'u%'""",
    """INSERT INTO api_token (name, role, prefix, token_hash)
       SELECT 't' || n, 'viewer', 'p', 'h' || n FROM generate_series(1, :many) n""",
    """INSERT INTO sign_in_failure (key, failures, ends_at)
       SELECT 'k' || n, 1, CAST(:now AS timestamptz) + interval '15 min'
         FROM generate_series(1, :many) n""",
    """INSERT INTO kept_response (caller, key, request_hash, status, body, at)
       SELECT 'token 1', 'k' || n, '', 200, '', :now FROM generate_series(1, :many) n""",
)


@pytest.fixture
def now(clock):
    return clock.now()


@pytest.fixture(scope="module")
def crowd(shared_engine: Engine) -> str:
    """The name of a database each of whose tables holds many rows that are not questions for."""
    now = ManualClock().now()
    with shared_engine.begin() as connection:
        for statement in CROWD:
            connection.execute(text(statement), {"many": MANY, "now": now})
    return databases.template_of(shared_engine)


@pytest.fixture
def database(servers: Servers, crowd: str, database_names: Iterator[str]) -> Iterator[str]:
    """A copy of it, for each test."""
    with databases.copied(servers.database_url, next(database_names), template=crowd) as copy:
        yield copy


@pytest.fixture(params=["never analysed", "analysed"])
def crowded(request, engine):
    if request.param == "analysed":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("ANALYZE"))
    return engine


@pytest.mark.slow
def test_each_question_is_answered_by_an_index(crowded, now):
    anna = added_user(crowded, "anna", now=now)
    session = signed_in(crowded, "anna", now=now)
    request = keyed_request(caller="token 1", key="new", content=b"x")
    later = now + timedelta(minutes=2)
    with crowded.begin() as connection:
        token = add_token(connection, "ci", role=Role.VIEWER, person=ADMIN, now=now)
    questions = {
        "session": lambda c: find_session(c, session.token, limits=LIMITS, now=later),
        "token": lambda c: find_token(c, token.token, now=later),
        "user": lambda c: find_user(c, "anna"),
        "sessions": lambda c: list_sessions(c, anna.id, limits=LIMITS, now=later),
        "sign out": lambda c: sign_out_user(c, "anna", person=ADMIN, now=later),
        "failures": lambda c: count_try(c, name="x", remote="y", now=later),
        "proxy": lambda c: external_user(
            c, source="oidc", subject="s7", name="u7", role=Role.VIEWER, now=later
        ),
        "kept": lambda c: kept_response(c, request, now=later),
        "keep": lambda c: keep_response(c, request, status=200, body="", now=later),
    }

    with crowded.begin() as connection:
        plans = {
            name: plans_of(connection, partial(ask, connection)) for name, ask in questions.items()
        }

    assert {name: plan.whole_tables for name, plan in plans.items() if plan.whole_tables} == {}
    assert {
        name: rows for name, plan in plans.items() if (rows := sum(plan.rows.values())) > 4
    } == {}
    assert plans["session"].indexes >= {"user_session_token_hash_key", "user_account_pkey"}
    assert "api_token_token_hash_key" in plans["token"].indexes
    assert "sign_in_failure_ends_at" in plans["failures"].indexes
    assert "kept_response_at" in plans["keep"].indexes


@pytest.mark.slow
def test_what_removes_old_rows_reads_those_alone(crowded, now):
    """All of a window, say, are over at the same moment: still no more than a few at a time."""
    later = now + KEPT_FOR
    request = keyed_request(caller="token 1", key="new", content=b"x")
    added_user(crowded, "anna", now=now)

    with crowded.begin() as connection:
        failures = plans_of(
            connection, lambda: count_try(connection, name="x", remote="y", now=later)
        )
        responses = plans_of(
            connection,
            lambda: keep_response(connection, request, status=200, body="", now=later),
        )

    assert failures.rows["sign_in_failure"] <= 50
    assert responses.rows["kept_response"] <= 50
