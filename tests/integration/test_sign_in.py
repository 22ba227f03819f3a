"""Signing in by password: one answer for all that is wrong, and a limit that ends by itself."""

from datetime import datetime, timedelta

import pytest
from argon2 import PasswordHasher
from sqlalchemy import Engine, text

from models.users import (
    NewSession,
    Role,
    SignInRefusal,
    SignInRefused,
    add_user,
    change_user,
    disable_user,
    enable_user,
    passwords,
)
from models.users.failures import (
    FAILURES_FROM_ADDRESS_MAX,
    FAILURES_MAX,
    REMOVED_AT_ONCE,
    WINDOW,
    Block,
    count_try,
)
from tests.support.concurrent_connections import at_once, beside, waiting_sessions
from tests.support.users import (
    ADMIN,
    OFFICE,
    PASSWORD,
    added_user,
    session_user,
    signed_in,
    try_sign_in,
)

SECOND = timedelta(seconds=1)
WRONG = SignInRefused(SignInRefusal.WRONG)
LOCK = text("SELECT id FROM user_account WHERE name = 'anna' FOR NO KEY UPDATE")
HASH = text("SELECT password_hash FROM user_account WHERE name = 'anna'")
SET_HASH = text("UPDATE user_account SET password_hash = :hash WHERE name = 'anna'")
FAILURES = text("SELECT count(*) FROM sign_in_failure")
ADD_WINDOWS = text("""
    INSERT INTO sign_in_failure (key, failures, ends_at)
    SELECT 'old ' || n, 1, :ends_at FROM generate_series(1, :many) n""")


@pytest.fixture
def now(clock):
    return clock.now()


@pytest.fixture
def anna(engine, now):
    return added_user(engine, "anna", now=now)


def fail(engine: Engine, times: int, *, now: datetime) -> list[NewSession | SignInRefused]:
    return [try_sign_in(engine, "anna", "wrong", now=now) for _ in range(times)]


@pytest.fixture
def counted(engine, now):
    """Count tries without hashing, which takes long."""

    def count(times: int, *, name: str = "anna", remote: str = OFFICE) -> list[Block | None]:
        blocks = []
        for _ in range(times):
            with engine.begin() as connection:
                blocks.append(count_try(connection, name=name, remote=remote, now=now))
        return blocks

    return count


def test_the_right_password_signs_in_whatever_the_case_of_the_name(engine, anna, now):
    session = signed_in(engine, "  ANNA ", now=now)
    user = session_user(engine, session, now=now)

    assert user is not None
    assert (user.name, user.role, user.user_id) == ("anna", Role.SUPPORT, anna.id)
    assert session.ends_at == now + timedelta(hours=12)


@pytest.mark.parametrize("name", ["anna", "nobody", "", "x" * 10_000, "no\x00body", "\ud800"])
@pytest.mark.parametrize("password", ["", "wrong", "\x00", "\ud800", "x" * 100_000])
def test_all_that_is_wrong_gets_one_answer(engine, anna, now, name, password):
    assert try_sign_in(engine, name, password, now=now) == WRONG


def test_who_signs_in_elsewhere_has_no_password_here(engine, now):
    with engine.begin() as connection:
        add_user(connection, "ben", role=Role.VIEWER, source="oidc", person=ADMIN, now=now)

    assert try_sign_in(engine, "ben", now=now) == WRONG


def test_only_the_right_password_shows_that_the_account_is_disabled(engine, anna, now):
    with engine.begin() as connection:
        disable_user(connection, "anna", person=ADMIN, now=now)

    assert fail(engine, 1, now=now) == [WRONG]
    assert try_sign_in(engine, "anna", now=now) == SignInRefused(SignInRefusal.DISABLED)


def test_after_too_many_failures_the_right_password_is_refused_until_the_window_ends(
    engine, anna, now
):
    fail(engine, FAILURES_MAX, now=now)
    later = now + WINDOW - SECOND

    refused = [try_sign_in(engine, "Anna", now=at, remote="198.51.100.1") for at in (now, later)]
    after = try_sign_in(engine, "anna", now=now + WINDOW)

    assert refused == [SignInRefused(SignInRefusal.BLOCKED, now + WINDOW)] * 2
    assert isinstance(refused[0], SignInRefused)
    assert "the next try is possible at 2026-11-20T10:15:00Z" in refused[0].message
    assert not isinstance(after, SignInRefused)


def test_a_success_starts_the_name_again(engine, anna, now):
    fail(engine, FAILURES_MAX - 1, now=now)
    signed_in(engine, "anna", now=now)
    fail(engine, FAILURES_MAX - 1, now=now)

    signed_in(engine, "anna", now=now)


@pytest.mark.parametrize("act", ["enabled", "new password"])
def test_a_person_who_deals_with_the_account_lifts_the_block(engine, anna, counted, now, act):
    counted(FAILURES_MAX + 1)

    with engine.begin() as connection:
        if act == "enabled":
            disable_user(connection, "anna", person=ADMIN, now=now)
            enable_user(connection, "anna", person=ADMIN, now=now)
        else:
            change_user(connection, "anna", password=PASSWORD, person=ADMIN, now=now)

    signed_in(engine, "anna", now=now)


def test_an_address_that_tries_many_names_is_blocked_and_blocks_no_name(counted, now):
    for number in range(FAILURES_FROM_ADDRESS_MAX):
        assert counted(1, name=f"user {number}") == [None]
    refused = counted(FAILURES_MAX + 1)

    assert refused == [Block(now + WINDOW)] * (FAILURES_MAX + 1)
    assert counted(1, remote="198.51.100.1") == [None]


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("203.0.113.7", "::ffff:203.0.113.7", True),
        ("203.0.113.7", "203.0.113.8", False),
        ("", "no address", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
    ],
)
def test_an_ipv6_address_counts_as_its_network(counted, now, first, second, same):
    for number in range(FAILURES_FROM_ADDRESS_MAX):
        counted(1, name=f"user {number}", remote=first)

    assert counted(1, remote=second) == [Block(now + WINDOW) if same else None]


def test_tries_at_the_same_moment_do_not_exceed_the_limit(engine, now):
    outcomes = []

    def one_try() -> None:
        with engine.begin() as connection:
            outcomes.append(count_try(connection, name="anna", remote=OFFICE, now=now))

    at_once(*[one_try] * (FAILURES_MAX - 4))
    at_once(*[one_try] * (FAILURES_MAX - 4))

    assert outcomes.count(None) == FAILURES_MAX
    assert len(outcomes) == 2 * (FAILURES_MAX - 4)


def test_windows_that_are_over_are_removed_by_who_tries(engine, counted, now):
    with engine.begin() as connection:
        connection.execute(ADD_WINDOWS, {"ends_at": now, "many": 3 * REMOVED_AT_ONCE})

    left = []
    for number in range(4):
        counted(1, name=f"user {number}")
        with engine.begin() as connection:
            left.append(connection.execute(FAILURES).scalar_one())

    assert left == [2 * REMOVED_AT_ONCE + 2, REMOVED_AT_ONCE + 3, 4, 5]


def test_neither_a_name_nor_an_address_is_stored(engine, counted):
    counted(1, name="a password by mistake", remote="203.0.113.99")

    with engine.begin() as connection:
        rows = str(connection.execute(text("SELECT * FROM sign_in_failure")).all())
    assert ("mistake" in rows, "203.0.113" in rows) == (False, False)


def test_a_hash_of_older_parameters_is_renewed_at_sign_in(
    engine, anna, now, monkeypatch, product_hasher
):
    monkeypatch.setattr(passwords, "HASHER", product_hasher)
    older = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    with engine.begin() as connection:
        connection.execute(SET_HASH, {"hash": older})

    fail(engine, 1, now=now)
    with engine.begin() as connection:
        kept = connection.execute(HASH).scalar_one()
    signed_in(engine, "anna", now=now)
    with engine.begin() as connection:
        renewed = connection.execute(HASH).scalar_one()

    assert kept == older
    assert renewed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    signed_in(engine, "anna", now=now)


@pytest.mark.parametrize("meanwhile", ["password", "disabled"])
def test_who_is_changed_while_the_password_is_verified_is_not_signed_in(
    engine, anna, now, meanwhile
):
    """The row is locked again before the session starts, and decides."""
    with engine.connect() as other:
        other.execute(LOCK)
        with beside(lambda: try_sign_in(engine, "anna", now=now)) as attempt:
            waiting_sessions(engine)
            if meanwhile == "password":
                change_user(other, "anna", password="a second password", person=ADMIN, now=now)
            else:
                disable_user(other, "anna", person=ADMIN, now=now)
            other.commit()
            outcome = attempt.result()

    why = SignInRefusal.WRONG if meanwhile == "password" else SignInRefusal.DISABLED
    assert outcome == SignInRefused(why)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM user_session")).scalar_one() == 0


def test_two_sign_ins_at_once_get_a_session_each(engine, anna, now):
    sessions = []

    at_once(*[lambda: sessions.append(signed_in(engine, "anna", now=now))] * 2)

    users = [session_user(engine, session, now=now) for session in sessions]
    assert [user.name for user in users if user is not None] == ["anna", "anna"]
    assert sessions[0].token != sessions[1].token
