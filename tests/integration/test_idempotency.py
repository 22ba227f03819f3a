"""A request with a key is carried out once; who asks again gets the same response."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from models.idempotency import (
    IdempotencyKeyInvalid,
    IdempotencyKeyReused,
    KeyedRequest,
    RequestInProgress,
    StoredResponse,
    keep_response,
    kept_response,
    keyed_request,
)
from models.idempotency.responses import KEPT_FOR, REMOVED_AT_ONCE

SECOND = timedelta(seconds=1)
COUNT = text("SELECT count(*) FROM kept_response")
OLD = text("""
    INSERT INTO kept_response (caller, key, request_hash, status, body, at)
    SELECT 'token 1', 'old ' || n, '', 200, '', :at FROM generate_series(1, :many) n""")


@pytest.fixture
def now(clock):
    return clock.now()


def request_of(
    content: bytes = b"POST /skip", *, caller: str = "token 1", key: str = "k"
) -> KeyedRequest:
    return keyed_request(caller=caller, key=key, content=content)


@pytest.fixture
def carry_out(engine, now):
    """Carry out a request in one transaction, as the API does; return what was kept before."""

    def act(
        request: KeyedRequest, *, at: datetime = now, body: str = "done"
    ) -> StoredResponse | None:
        with engine.begin() as connection:
            kept = kept_response(connection, request, now=at)
            if kept is None:
                keep_response(connection, request, status=200, body=body, now=at)
            return kept

    return act


def test_the_same_request_gets_the_same_response(carry_out):
    first, second = carry_out(request_of()), carry_out(request_of(), body="not this")

    assert (first, second) == (None, StoredResponse(200, "done"))


def test_another_request_under_the_same_key_is_refused(carry_out):
    carry_out(request_of())

    with pytest.raises(IdempotencyKeyReused, match="send a new key"):
        carry_out(request_of(b"POST /send"))


@pytest.mark.parametrize("other", [{"caller": "token 2"}, {"key": "K"}])
def test_a_key_belongs_to_its_caller(carry_out, other):
    carry_out(request_of())

    assert carry_out(request_of(b"POST /send", **other)) is None


def test_a_request_in_progress_is_refused_and_not_waited_for(engine, carry_out, now):
    with engine.connect() as first:
        assert kept_response(first, request_of(), now=now) is None

        with pytest.raises(RequestInProgress, match="still in progress"):
            carry_out(request_of())
        assert carry_out(request_of(key="other")) is None
        keep_response(first, request_of(), status=202, body="first", now=now)
        first.commit()

    assert carry_out(request_of()) == StoredResponse(202, "first")


def test_the_key_of_a_request_that_failed_is_free_again(engine, carry_out, now):
    with engine.connect() as first:
        kept_response(first, request_of(), now=now)
        keep_response(first, request_of(), status=200, body="never", now=now)
        first.rollback()

    assert carry_out(request_of(b"POST /corrected")) is None


def test_a_response_is_kept_for_24_hours(carry_out, now):
    carry_out(request_of())

    assert carry_out(request_of(), at=now + KEPT_FOR - SECOND) == StoredResponse(200, "done")
    assert carry_out(request_of(b"POST /new"), at=now + KEPT_FOR, body="new") is None
    assert carry_out(request_of(b"POST /new"), at=now + KEPT_FOR) == StoredResponse(200, "new")


def test_old_responses_are_removed_by_who_keeps_one(engine, carry_out, now):
    with engine.begin() as connection:
        connection.execute(OLD, {"at": now - KEPT_FOR, "many": 2 * REMOVED_AT_ONCE + 5})

    left = []
    for key in "abc":
        carry_out(request_of(key=key))
        with engine.begin() as connection:
            left.append(connection.execute(COUNT).scalar_one())

    assert left == [REMOVED_AT_ONCE + 6, 7, 3]


@pytest.mark.parametrize("key", ["", "x" * 65, "a\nb", "a\x00", "é", "\ud800"])
def test_a_key_is_short_and_printable(key):
    with pytest.raises(IdempotencyKeyInvalid, match="1 to 64 printable ASCII"):
        request_of(key=key)
