"""People whom another system identifies: added, kept up to date, and never another's account."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from models.users import (
    LocalUserExists,
    Role,
    User,
    UserDisabled,
    UserInvalid,
    UserUnknown,
    add_user,
    disable_user,
    external_user,
    find_user,
    list_users,
    start_external_session,
)
from tests.support.concurrent_connections import beside, waiting_sessions
from tests.support.users import ADMIN, LIMITS, added_user, session_user

KEPT = text("SELECT did, who, facts FROM intervention ORDER BY id")
VERSIONS = text("SELECT xmin::text FROM user_account")
SUBJECT = "https://id.example.org 4711"


@pytest.fixture
def now(clock):
    return clock.now()


@pytest.fixture
def arrives(engine, now):
    """Somebody comes from the identity provider."""

    def arrive(
        name: str, *, subject: str = SUBJECT, role: Role | None = Role.SUPPORT, source: str = "oidc"
    ) -> User:
        with engine.begin() as connection:
            return external_user(
                connection, source=source, subject=subject, name=name, role=role, now=now
            )

    return arrive


def kept(engine: Engine) -> list[tuple[Any, ...]]:
    with engine.begin() as connection:
        return [tuple(row) for row in connection.execute(KEPT)]


def test_a_person_is_added_once_and_recorded(engine, arrives):
    first, second = arrives("Ben"), arrives("Ben")

    assert first == second
    assert (first.name, first.role, first.source) == ("Ben", Role.SUPPORT, "oidc")
    assert not first.has_password
    assert kept(engine) == [
        ("user_added", "oidc", {"user": "Ben", "role": "support", "source": "oidc"})
    ]


def test_who_comes_again_unchanged_writes_nothing(engine, arrives):
    arrives("Ben")
    with engine.begin() as connection:
        before = connection.execute(VERSIONS).scalar_one()

    arrives("Ben")

    with engine.begin() as connection:
        assert connection.execute(VERSIONS).scalar_one() == before


def test_a_person_keeps_the_account_with_another_name_or_role(engine, arrives):
    before = arrives("Ben")
    after = arrives("Ben Berg", role=Role.OPERATIONS)

    assert after.id == before.id
    assert (after.name, after.role) == ("Ben Berg", Role.OPERATIONS)
    facts = {
        "user": "Ben",
        "name": {"from": "Ben", "to": "Ben Berg"},
        "role": {"from": "support", "to": "operations"},
    }
    assert kept(engine)[1:] == [("user_changed", "oidc", facts)]


@pytest.mark.parametrize("name", ["Anna", "ANNA"])
@pytest.mark.parametrize("source", ["oidc", "proxy"])
def test_a_local_account_is_never_taken_over(engine, arrives, now, name, source):
    anna = added_user(engine, "anna", now=now)

    with pytest.raises(LocalUserExists, match="not taken over"):
        arrives(name, source=source)

    with engine.begin() as connection:
        assert list_users(connection) == [anna]


@pytest.mark.parametrize("other", [{"subject": "another"}, {"source": "proxy"}])
def test_nor_is_that_of_another_person_who_is_called_the_same(engine, arrives, other):
    ben = arrives("Ben")

    with pytest.raises(LocalUserExists):
        arrives("ben", **other)

    with engine.begin() as connection:
        assert find_user(connection, "ben") == ben


def test_nobody_takes_the_name_of_another_by_changing_the_own(engine, arrives, now):
    added_user(engine, "anna", now=now)
    arrives("Ben")

    with pytest.raises(LocalUserExists):
        arrives("Anna")


def test_a_disabled_person_stays_disabled(engine, arrives, now):
    ben = arrives("Ben")
    with engine.begin() as connection:
        disable_user(connection, "Ben", person=ADMIN, now=now)

    with pytest.raises(UserDisabled, match="slipway users enable"):
        arrives("Ben", role=Role.OPERATIONS)
    with engine.begin() as connection, pytest.raises(UserDisabled):
        start_external_session(connection, ben, limits=LIMITS, remote="", client="", now=now)
    with engine.begin() as connection:
        assert find_user(connection, "Ben").role == Role.SUPPORT


def test_without_a_role_only_who_was_added_here_comes_in(engine, arrives, now):
    with pytest.raises(UserUnknown, match="slipway users add --external"):
        arrives("ben", role=None)
    with engine.begin() as connection:
        add_user(connection, "Ben", role=Role.VIEWER, source="oidc", person=ADMIN, now=now)

    bound = arrives("ben", role=None)

    assert (bound.name, bound.role) == ("ben", Role.VIEWER)
    with pytest.raises(LocalUserExists):
        arrives("Ben", subject="another")


@pytest.mark.parametrize(
    ("name", "subject"),
    [("", SUBJECT), ("b\ned", SUBJECT), ("ben", ""), ("ben", "x" * 501), ("ben", "\x00")],
)
def test_an_identity_that_cannot_be_one_is_refused(arrives, name, subject):
    with pytest.raises(UserInvalid):
        arrives(name, subject=subject)


def test_a_session_starts_like_one_with_a_password(engine, arrives, now):
    ben = arrives("Ben")
    with engine.begin() as connection:
        session = start_external_session(
            connection, ben, limits=LIMITS, remote="", client="", now=now
        )

    user = session_user(engine, session, now=now + timedelta(minutes=1))
    assert user is not None
    assert (user.name, user.role) == ("Ben", Role.SUPPORT)


@pytest.mark.parametrize("same_person", [True, False])
def test_two_first_requests_at_once_make_one_account(engine, now, arrives, same_person):
    with engine.connect() as first, first.begin() as transaction:
        external_user(first, source="oidc", subject=SUBJECT, name="Ben", role=Role.SUPPORT, now=now)
        subject = SUBJECT if same_person else "another"
        with beside(lambda: arrives("Ben", subject=subject)) as second:
            waiting_sessions(engine)
            transaction.commit()
            refused = second.exception()

    assert isinstance(refused, type(None) if same_person else LocalUserExists)
    assert [did for did, *_ in kept(engine)] == ["user_added"]
