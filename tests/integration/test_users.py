"""Accounts: added, changed and disabled by somebody with a reason; no record holds a secret."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from models.users import (
    Role,
    SignInRefused,
    UserExists,
    UserInvalid,
    UserNotFound,
    add_user,
    change_user,
    disable_user,
    enable_user,
    find_session,
    find_user,
    list_users,
    sign_out_user,
)
from tests.support.users import (
    ADMIN,
    LIMITS,
    PASSWORD,
    added_user,
    session_user,
    signed_in,
    try_sign_in,
)

KEPT = text("SELECT did, who, why, at, facts FROM intervention ORDER BY id")
HASHES = text("SELECT password_hash FROM user_account WHERE name = :name")
MINUTE = timedelta(minutes=1)
NEW_PASSWORD = "a second password"


@pytest.fixture
def now(clock):
    return clock.now()


def test_a_user_is_found_in_any_case_and_shown_without_the_hash(engine, now):
    added = added_user(engine, "Anna", now=now)

    with engine.begin() as connection:
        assert find_user(connection, "ANNA") == added
        assert list_users(connection) == [added]
        stored = connection.execute(HASHES, {"name": "Anna"}).scalar_one()
    assert (added.name, added.role, added.source) == ("Anna", Role.SUPPORT, "local")
    assert (added.has_password, added.created_at, added.disabled_at) == (True, now, None)
    assert stored.startswith("$argon2id$")
    assert stored not in repr(added)


def test_a_name_is_given_once(engine, now):
    added_user(engine, "Anna", now=now)

    with pytest.raises(UserExists, match="compared without case"):
        added_user(engine, "anna", now=now)


@pytest.mark.parametrize(
    ("name", "password", "source", "message"),
    [
        ("an\nna", PASSWORD, "local", "printable"),
        ("anna", "short", "local", "at least 12"),
        ("anna-of-support", "Anna-of-Support", "local", "user's name"),
        ("anna", None, "local", "needs a password"),
        ("anna", PASSWORD, "oidc", "no password here"),
    ],
)
def test_what_cannot_be_a_user_is_refused(engine, now, name, password, source, message):
    with engine.begin() as connection, pytest.raises(UserInvalid, match=message):
        add_user(
            connection,
            name,
            role=Role.VIEWER,
            password=password,
            source=source,
            person=ADMIN,
            now=now,
        )


def test_each_act_is_recorded_and_no_secret_is(engine, now):
    added_user(engine, "Anna", now=now)
    signed_in(engine, "Anna", now=now)
    with engine.begin() as connection:
        sign_out_user(connection, "anna", person=ADMIN, now=now)
        change_user(
            connection,
            "anna",
            role=Role.VIEWER,
            password=NEW_PASSWORD,
            person=ADMIN,
            now=now,
        )
        disable_user(connection, "anna", person=ADMIN, now=now)
        enable_user(connection, "anna", person=ADMIN, now=now)
        kept = [tuple(row) for row in connection.execute(KEPT)]

    role = {"from": "support", "to": "viewer"}
    assert [(did, facts) for did, _, _, _, facts in kept] == [
        ("user_added", {"user": "Anna", "role": "support", "source": "local"}),
        ("user_signed_out", {"user": "Anna", "sessions_ended": 1}),
        (
            "user_changed",
            {"user": "Anna", "role": role, "password_replaced": True, "sessions_ended": 0},
        ),
        ("user_disabled", {"user": "Anna", "sessions_ended": 0}),
        ("user_enabled", {"user": "Anna"}),
    ]
    assert {row[1:4] for row in kept} == {(ADMIN.who, ADMIN.why, now)}
    assert not any(secret in str(kept) for secret in (PASSWORD, NEW_PASSWORD, "argon2"))


def test_what_is_so_already_is_not_recorded_again(engine, now):
    added_user(engine, "anna", now=now)

    with engine.begin() as connection:
        assert not enable_user(connection, "anna", person=ADMIN, now=now)
        assert disable_user(connection, "anna", person=ADMIN, now=now)
        assert not disable_user(connection, "anna", person=ADMIN, now=now)
        assert sign_out_user(connection, "anna", person=ADMIN, now=now) == 0
        assert change_user(connection, "anna", role=Role.SUPPORT, person=ADMIN, now=now) == {}
        kept = [row.did for row in connection.execute(KEPT)]

    assert kept == ["user_added", "user_disabled"]


@pytest.mark.parametrize("act", [change_user, disable_user, enable_user, sign_out_user])
@pytest.mark.parametrize("name", ["nobody", "x" * 1000, "no\x00body"])
def test_an_act_on_nobody_is_refused(engine, now, act, name):
    with engine.begin() as connection, pytest.raises(UserNotFound, match="slipway users list"):
        act(connection, name, person=ADMIN, now=now)


def test_a_new_role_counts_from_the_next_request(engine, now):
    added_user(engine, "anna", now=now)
    session = signed_in(engine, "anna", now=now)

    with engine.begin() as connection:
        change_user(connection, "anna", role=Role.VIEWER, person=ADMIN, now=now)

    user = session_user(engine, session, now=now)
    assert user is not None
    assert user.role == Role.VIEWER


def test_a_new_password_ends_all_sessions_and_the_old_one_is_wrong(engine, now):
    added_user(engine, "anna", now=now)
    sessions = [signed_in(engine, "anna", now=now) for _ in range(2)]

    with engine.begin() as connection:
        changed = change_user(connection, "anna", password=NEW_PASSWORD, person=ADMIN, now=now)

    assert changed == {"password_replaced": True, "sessions_ended": 2}
    assert [session_user(engine, session, now=now) for session in sessions] == [None, None]
    assert isinstance(try_sign_in(engine, "anna", now=now), SignInRefused)
    assert not isinstance(try_sign_in(engine, "anna", NEW_PASSWORD, now=now), SignInRefused)


def test_a_disabled_user_is_signed_out_and_stays_out(engine, now):
    added_user(engine, "anna", now=now)
    session = signed_in(engine, "anna", now=now)

    with engine.begin() as connection:
        disable_user(connection, "anna", person=ADMIN, now=now)
        refused = find_session(connection, session.token, limits=LIMITS, now=now)
        enable_user(connection, "anna", person=ADMIN, now=now)
        still = find_session(connection, session.token, limits=LIMITS, now=now)

    assert (refused, still) == (None, None)
    signed_in(engine, "anna", now=now)


def test_a_password_is_not_given_to_who_signs_in_elsewhere(engine, now):
    with engine.begin() as connection:
        add_user(connection, "ben", role=Role.VIEWER, source="oidc", person=ADMIN, now=now)
        with pytest.raises(UserInvalid, match="signs in through oidc"):
            change_user(connection, "ben", password=PASSWORD, person=ADMIN, now=now)
