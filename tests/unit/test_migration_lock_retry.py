"""How long a migration tries for its locks, and how it describes the sessions that block it."""

from datetime import timedelta

import pytest

from models.migrations.blocking_sessions import BlockingSession, describe_sessions
from models.migrations.lock_retry import LockRetryPolicy


def holder(pid: int = 4711, **known: object) -> BlockingSession:
    nothing = dict.fromkeys(("program", "user", "host", "state", "lasting"))
    return BlockingSession(pid, **(nothing | known))


def test_the_pauses_double_up_to_their_limit_and_are_one_fewer_than_the_tries():
    pauses = list(LockRetryPolicy(tries=7).pauses())

    assert [pause.total_seconds() for pause in pauses] == [1, 2, 4, 8, 15, 15]
    assert list(LockRetryPolicy(tries=1).pauses()) == []


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (
            {
                "program": "psql",
                "user": "anna",
                "host": "10.0.0.7",
                "state": "idle in transaction",
                "lasting": timedelta(minutes=12, microseconds=7),
            },
            "process 4711 (psql of anna at 10.0.0.7, idle in transaction for 12m)",
        ),
        ({"user": "anna"}, "process 4711 (a session of anna)"),  # not ours: we see no more
        ({}, "process 4711 (a session)"),
        ({"state": "active", "lasting": timedelta(0)}, "process 4711 (a session, active for 1s)"),
        ({"pid": 0}, "a prepared transaction (SELECT * FROM pg_prepared_xacts)"),
    ],
)
def test_who_is_in_the_way_is_named_as_far_as_the_server_says(known, words):
    assert holder(**known).describe() == words


def test_of_many_the_first_three_are_named():
    assert describe_sessions([holder(pid) for pid in (1, 2, 3, 4)]).endswith(
        "3 (a session), others"
    )
    assert describe_sessions([]) == "a session that has ended"
