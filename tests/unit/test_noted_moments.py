"""When entries were first seen, by what the sweeps noted (rule 3)."""

from datetime import UTC, datetime, timedelta

from models.events.noted_moments import NotedMoments

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
NOTED = NotedMoments(
    [((1000, 5), NOON), ((9000, 1), NOON + SECOND), ((9000, 7), NOON + 2 * SECOND)]
)


def seen_at(entry_id: str) -> datetime:
    moment = NOTED.seen_at(entry_id)
    assert moment is not None
    return moment


def test_the_entries_of_one_observation_keep_their_order_where_ids_jump():
    """The numbers of a later millisecond begin again at 0."""
    in_order = ["1000-6", "1000-90000", "5000-0", "9000-1", "9000-2", "9000-7"]

    seen = list(map(seen_at, in_order))

    assert seen == sorted(seen)


def test_an_entry_counts_as_seen_within_its_observation():
    assert NOTED.seen_at("1000-5") == NOON + timedelta(microseconds=5)
    assert NOTED.seen_at("9000-99999999") is None
    assert NOON + SECOND <= seen_at("8999-99999999") < NOON + 2 * SECOND


def test_what_no_sweep_has_observed_is_unknown():
    assert NOTED.seen_at("9000-8") is None
