"""Places are shared out so that no partner takes another's, and none is promised twice."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from worker.delivery.admission import CallsInFlight, fair_share

operators = st.integers(min_value=1, max_value=60)
demands = st.dictionaries(operators, st.integers(min_value=1, max_value=64), max_size=60)
in_flight = st.dictionaries(operators, st.integers(min_value=1, max_value=64)).map(Counter)
place_counts = st.integers(min_value=0, max_value=300)
NOTHING: Counter[int] = Counter()


@given(demands, in_flight, place_counts)
def test_shares_never_exceed_the_places_nor_what_is_wanted(wanted, held, places):
    rooms = fair_share(wanted, held, places)

    assert rooms.keys() == wanted.keys()
    assert sum(rooms.values()) <= places
    assert all(0 <= rooms[operator] <= wanted[operator] for operator in wanted)


@given(demands, in_flight, place_counts)
def test_no_partner_comes_to_have_more_than_is_left_free_for_the_next(wanted, held, places):
    rooms = fair_share(wanted, held, places)

    left = places - sum(rooms.values())
    for operator, room in rooms.items():
        if room:
            assert held[operator] + room <= max(1, left + 1)


@given(demands, in_flight, place_counts)
def test_no_partner_gets_less_than_another_while_wanting_more(wanted, held, places):
    rooms = fair_share(wanted, held, places)

    has = {operator: held[operator] + rooms[operator] for operator in wanted}
    wanting = [has[operator] for operator in wanted if rooms[operator] < wanted[operator]]
    grown = [has[operator] for operator in wanted if rooms[operator]]
    if wanting and grown:
        assert max(grown) - min(wanting) <= 1


@given(demands, st.integers(min_value=1, max_value=300))
def test_there_is_always_a_place_for_who_has_none(wanted, places):
    """A process with few places serves one partner after the other, but it serves."""
    rooms = fair_share(wanted, NOTHING, places)

    assert sum(1 for room in rooms.values() if room) == min(len(wanted), places)


def test_one_that_hangs_never_takes_more_than_half():
    """However often it is asked for."""
    held: Counter[int] = Counter()
    for _ in range(20):
        held += Counter(fair_share({1: 1000}, held, 512 - held.total()))

    assert held[1] == 256


def test_each_further_one_that_hangs_leaves_half_of_the_rest():
    held: Counter[int] = Counter()
    for operator in range(1, 6):
        held += Counter(fair_share({operator: 1000}, held, 512 - held.total()))

    assert list(held.values()) == [256, 128, 64, 32, 16]


def test_many_with_little_due_all_get_what_they_want():
    rooms = fair_share(dict.fromkeys(range(20), 4), NOTHING, 512)

    assert set(rooms.values()) == {4}


def test_a_partner_with_little_due_goes_out_beside_one_with_a_million():
    assert fair_share({1: 1_000_000, 2: 1}, NOTHING, 64) == {1: 32, 2: 1}


def test_calls_are_counted_from_their_start_to_their_end():
    in_flight_calls = CallsInFlight()
    in_flight_calls.started(1)
    in_flight_calls.started(1)
    in_flight_calls.started(2)
    in_flight_calls.ended(1)
    in_flight_calls.ended(2)

    assert in_flight_calls.calls == {1: 1}
    assert in_flight_calls.calls[2] == 0
