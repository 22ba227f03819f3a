"""Sessions: a random token whose hash is stored; they end, and are ended."""

import hashlib
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, Row, text

from models.users import (
    NewSession,
    SessionLimits,
    disable_user,
    end_session,
    find_session,
    list_sessions,
    sign_out_user,
)
from models.users.sessions import REMOVED_AT_ONCE, SESSIONS_MAX
from models.users.sign_in import sign_in
from tests.support.concurrent_connections import beside, waiting_sessions
from tests.support.users import (
    ADMIN,
    LIMITS,
    PASSWORD,
    added_user,
    session_user,
    signed_in,
)

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
ROWS = text("SELECT token_hash, seen_at, ends_at FROM user_session ORDER BY id")
OLD_SESSIONS = text("""
    INSERT INTO user_session (token_hash, user_id, started_at, seen_at, ends_at, remote, client)
    SELECT 'old ' || n, :user_id, :at, :at, :at, '', '' FROM generate_series(1, :many) n""")


@pytest.fixture
def now(clock):
    return clock.now()


@pytest.fixture
def anna(engine, now):
    return added_user(engine, "anna", now=now)


@pytest.fixture
def session(engine, anna, now) -> NewSession:
    return signed_in(engine, "anna", now=now)


def rows(engine: Engine) -> Sequence[Row[Any]]:
    with engine.begin() as connection:
        return connection.execute(ROWS).all()


def test_the_token_has_256_random_bits_and_only_its_hash_is_stored(engine, session):
    [row] = rows(engine)

    assert re.fullmatch(r"[\w-]{43}", session.token)
    assert row.token_hash == hashlib.sha256(session.token.encode()).hexdigest()
    assert session.token not in repr(session)


@pytest.mark.parametrize(
    "forged", ["", "x" * 43, "x" * 100_000, "\x00" * 43, "\ud800" * 43, "é" * 43]
)
def test_a_forged_token_is_nobody(engine, session, now, forged):
    with engine.begin() as connection:
        assert find_session(connection, forged, limits=LIMITS, now=now) is None


def test_the_stored_hash_is_no_token(engine, session, now):
    [row] = rows(engine)

    with engine.begin() as connection:
        assert find_session(connection, row.token_hash, limits=LIMITS, now=now) is None


def test_an_unused_session_ends_after_the_idle_time(engine, session, now):
    assert session_user(engine, session, now=now + HOUR) is None


def test_a_used_session_ends_after_the_longest_time_all_the_same(engine, session, now):
    answers = [
        session_user(engine, session, now=now + minutes * MINUTE) is not None
        for minutes in range(30, 12 * 60 + 31, 30)
    ]

    assert answers == [True] * 23 + [False] * 2


def test_its_use_is_noted_at_most_once_a_minute(engine, session, now):
    noted = []
    for seconds in (1, 59, 60, 61, 119, 120):
        session_user(engine, session, now=now + seconds * SECOND)
        [row] = rows(engine)
        noted.append((row.seen_at - now).total_seconds())

    assert noted == [0, 0, 60, 60, 60, 120]


def test_a_short_idle_time_is_kept_by_use(engine, session, now):
    short = SessionLimits(12 * HOUR, 20 * SECOND)
    with engine.begin() as connection:
        users = [
            find_session(connection, session.token, limits=short, now=now + 15 * n * SECOND)
            for n in (1, 2, 3)
        ]

    assert None not in users


def test_a_request_does_not_wait_to_note_what_another_one_notes(engine, session, now):
    later = now + 5 * MINUTE
    with engine.connect() as other:
        find_session(other, session.token, limits=LIMITS, now=later)  # and holds the row

        with engine.begin() as connection:
            connection.execute(text("SET LOCAL lock_timeout = '1ms'"))
            user = find_session(connection, session.token, limits=LIMITS, now=later)
        other.commit()

    assert user is not None
    assert rows(engine)[0].seen_at == later


def test_each_session_has_a_csrf_secret_of_its_own(engine, anna, session, now):
    first = session_user(engine, session, now=now)
    again = session_user(engine, session, now=now + MINUTE)
    other = session_user(engine, signed_in(engine, "anna", now=now), now=now)
    assert first is not None
    assert again is not None
    assert other is not None

    assert first.csrf_matches(again.csrf)
    assert not any(
        first.csrf_matches(given) for given in (other.csrf, "", session.token, "\ud800", "é")
    )
    assert re.fullmatch(r"[0-9a-f]{64}", first.csrf)
    assert first.csrf not in repr(first)
    assert first.csrf not in str(rows(engine))


def test_one_session_ends_and_the_other_goes_on(engine, anna, session, now):
    other = signed_in(engine, "anna", now=now)

    with engine.begin() as connection:
        end_session(connection, session.id)

    assert session_user(engine, session, now=now) is None
    assert session_user(engine, other, now=now) is not None


def test_the_sessions_of_a_user_are_listed_the_last_used_first(engine, anna, session, now):
    signed_in(engine, "anna", now=now + MINUTE, remote="198.51.100.1")
    added_user(engine, "ben", now=now)
    signed_in(engine, "ben", now=now)

    with engine.begin() as connection:
        lines = list_sessions(connection, anna.id, limits=LIMITS, now=now + MINUTE)
        idle = list_sessions(connection, anna.id, limits=LIMITS, now=now + 2 * HOUR)

    assert [line.remote for line in lines] == ["198.51.100.1", "203.0.113.7"]
    assert (lines[0].client, lines[0].started_at) == ("Firefox", now + MINUTE)
    assert idle == []


def test_a_user_has_a_bounded_number_of_sessions(engine, anna, session, now):
    with engine.begin() as connection:
        later = {"user_id": anna.id, "at": now + HOUR, "many": SESSIONS_MAX}
        connection.execute(OLD_SESSIONS, later)

    signed_in(engine, "anna", now=now + 2 * MINUTE)

    assert len(rows(engine)) == SESSIONS_MAX
    assert session_user(engine, session, now=now + 2 * MINUTE) is None


def test_expired_sessions_are_removed_by_who_signs_in(engine, anna, now):
    left = []
    added_user(engine, "ben", now=now)
    with engine.begin() as connection:
        expired = {"user_id": anna.id, "at": now - SECOND, "many": REMOVED_AT_ONCE + 5}
        connection.execute(OLD_SESSIONS, expired)
    for _ in range(2):
        signed_in(engine, "ben", now=now)
        left.append(len(rows(engine)))

    assert left == [6, 2]


def test_what_a_browser_says_of_itself_is_kept_short_and_printable(engine, anna, now):
    hostile = "Fire\x1b[31mfox\u202e\x00" + "x" * 10_000
    sign_in(engine, "anna", PASSWORD, limits=LIMITS, remote="::1", client=hostile, now=now)

    with engine.begin() as connection:
        [line] = list_sessions(connection, anna.id, limits=LIMITS, now=now)
    assert line.client.startswith("Fire[31mfoxxxx")
    assert len(line.client) <= 200


@pytest.mark.parametrize("act", [sign_out_user, disable_user])
def test_a_session_ended_during_a_request_is_nobody_at_the_next(engine, session, now, act):
    """The request holds the row, as it notes its use; ending the session waits for that only."""
    later = now + 5 * MINUTE

    def end() -> None:
        with engine.begin() as connection:
            act(connection, "anna", person=ADMIN, now=later)

    with engine.connect() as request:
        user = find_session(request, session.token, limits=LIMITS, now=later)
        with beside(end) as ending:
            waiting_sessions(engine)
            request.commit()
            ending.result()

    assert user is not None
    assert session_user(engine, session, now=later) is None
    assert rows(engine) == []
