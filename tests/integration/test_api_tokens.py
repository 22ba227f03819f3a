"""API tokens: shown once, stored as a hash, recognisable, and refused once revoked or expired."""

import hashlib
import re
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from models.users import (
    Role,
    TokenExists,
    TokenHolder,
    TokenInvalid,
    TokenNotFound,
    add_token,
    find_token,
    list_tokens,
    revoke_token,
)
from tests.support.concurrent_connections import beside, waiting_sessions
from tests.support.users import ADMIN

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
STORED = text("SELECT token_hash, prefix FROM api_token")
KEPT = text("SELECT did, who, why, facts FROM intervention ORDER BY id")


@pytest.fixture
def now(clock):
    return clock.now()


@pytest.fixture
def token(engine, now):
    with engine.begin() as connection:
        return add_token(
            connection,
            "deploy",
            role=Role.SUPPORT,
            expires_at=now + DAY,
            person=ADMIN,
            now=now,
        )


def holder_of(engine: Engine, token: str, now: datetime) -> TokenHolder | None:
    with engine.begin() as connection:
        return find_token(connection, token, now=now)


def test_a_token_can_be_recognised_and_is_stored_as_a_hash(engine, token):
    with engine.begin() as connection:
        [row] = connection.execute(STORED).all()

    assert re.fullmatch(r"slipway_[0-9a-f]{8}_[\w-]{43}", token.token)
    assert token.token.startswith(f"{token.prefix}_")
    assert row.prefix == token.prefix
    assert row.token_hash == hashlib.sha256(token.token.encode()).hexdigest()
    assert token.token not in repr(token)


def test_a_token_names_its_program_and_role(engine, token, now):
    holder = holder_of(engine, token.token, now)

    assert holder is not None
    assert (holder.name, holder.role) == ("deploy", Role.SUPPORT)


@pytest.mark.parametrize(
    "forged",
    ["", "slipway_", "slipway_" + "x" * 52, "x" * 100_000, "slipway_\x00", "slipway_\ud800é"],
)
def test_a_forged_token_is_nobody(engine, token, now, forged):
    assert holder_of(engine, forged, now) is None
    assert holder_of(engine, token.token[:-1], now) is None
    assert holder_of(engine, token.prefix, now) is None


def test_a_token_is_refused_when_it_has_expired(engine, token, now):
    assert holder_of(engine, token.token, now + DAY - SECOND) is not None
    assert holder_of(engine, token.token, now + DAY) is None


def test_its_use_is_noted_at_most_once_a_minute(engine, token, now):
    noted = []
    for seconds in (0, 59, 60, 61):
        holder_of(engine, token.token, now + seconds * SECOND)
        with engine.begin() as connection:
            [line] = list_tokens(connection)
        assert line.used_at is not None
        noted.append((line.used_at - now).total_seconds())

    assert noted == [0, 0, 60, 60]


def test_a_revoked_token_is_refused_and_its_name_stays_taken(engine, token, now):
    with engine.begin() as connection:
        revoke_token(connection, "deploy", person=ADMIN, now=now)

    assert holder_of(engine, token.token, now) is None
    with engine.begin() as connection, pytest.raises(TokenNotFound, match="has been revoked since"):
        revoke_token(connection, "deploy", person=ADMIN, now=now)
    with engine.begin() as connection, pytest.raises(TokenExists, match="deploy-2"):
        add_token(connection, "deploy", role=Role.VIEWER, person=ADMIN, now=now)


def test_a_token_revoked_during_a_request_is_refused_at_the_next(engine, token, now):
    """The request holds the row, as it notes the use; revoking waits for that only."""

    def revoke() -> None:
        with engine.begin() as connection:
            revoke_token(connection, "deploy", person=ADMIN, now=now)

    with engine.connect() as request:
        holder = find_token(request, token.token, now=now)
        with beside(revoke) as revoking:
            waiting_sessions(engine)
            request.commit()
            revoking.result()

    assert holder is not None
    assert holder_of(engine, token.token, now) is None


def test_a_request_does_not_wait_to_note_what_another_one_notes(engine, token, now):
    with engine.connect() as other:
        find_token(other, token.token, now=now)  # and holds the row
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL lock_timeout = '1ms'"))
            assert find_token(connection, token.token, now=now) is not None


@pytest.mark.parametrize("granted_by", Role)
@pytest.mark.parametrize("role", Role)
def test_nobody_grants_more_than_the_own_role(engine, now, granted_by, role):
    with engine.begin() as connection:
        options = {"role": role, "granted_by": granted_by, "person": ADMIN, "now": now}
        if granted_by.allows(role):
            assert add_token(connection, "x", **options).role == role
        else:
            with pytest.raises(TokenInvalid, match="cannot grant"):
                add_token(connection, "x", **options)


@pytest.mark.parametrize(
    ("name", "seconds", "message"), [("", 1, "printable"), ("x", 0, "expire at once")]
)
def test_what_cannot_be_a_token_is_refused(engine, now, name, seconds, message):
    expires_at = now + seconds * SECOND
    with engine.begin() as connection, pytest.raises(TokenInvalid, match=message):
        add_token(connection, name, role=Role.VIEWER, expires_at=expires_at, person=ADMIN, now=now)


def test_adding_and_revoking_are_recorded_without_the_token(engine, token, now):
    with engine.begin() as connection:
        revoke_token(connection, "deploy", person=ADMIN, now=now)
        kept = [tuple(row) for row in connection.execute(KEPT)]

    assert [row[0] for row in kept] == ["token_added", "token_revoked"]
    assert kept[0][3] == {
        "token": "deploy",
        "role": "support",
        "prefix": token.prefix,
        "expires_at": "2026-11-21T10:00:00Z",
    }
    # Its random part may itself hold "_".
    assert token.token.removeprefix(f"{token.prefix}_") not in str(kept)
