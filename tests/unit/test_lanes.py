"""Places are shared out so that no partner takes another's, and none is claimed in excess."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from models.outbox.values import Claim, Partner
from tests.support.owed_notice import PARTNER, WIN
from worker.delivery.lanes import Lanes, fill, share

appetites = st.dictionaries(
    st.integers(min_value=1, max_value=200), st.integers(min_value=1, max_value=64), max_size=80
)
place_counts = st.integers(min_value=0, max_value=300)


def partner(number: int, *, in_flight: int) -> Partner:
    return replace(PARTNER, id=number, in_flight=in_flight)


class Database:
    """As much due as *due* says, claimed as `models.outbox.claim` would."""

    def __init__(self, due: Mapping[int, int]) -> None:
        self.due = dict(due)
        self.asked = 0

    def claim(self, room: Mapping[int, int]) -> Sequence[Claim]:
        self.asked += 1
        claims = []
        for operator, count in room.items():
            got = min(count, self.due.get(operator, 0))
            self.due[operator] = self.due.get(operator, 0) - got
            claims += [replace(WIN, operator=operator)] * got
        return claims


@given(appetites, place_counts)
def test_shares_never_exceed_the_places_nor_anyone_s_wish(wanted, places):
    rooms = share(wanted, places)

    assert rooms.keys() == wanted.keys()
    assert sum(rooms.values()) == min(places, sum(wanted.values()))
    assert all(0 <= rooms[operator] <= wanted[operator] for operator in wanted)


@given(appetites, place_counts)
def test_nobody_gets_less_than_another_while_wanting_more(wanted, places):
    rooms = share(wanted, places)

    left_wanting = [rooms[operator] for operator in wanted if rooms[operator] < wanted[operator]]
    if left_wanting:
        assert max(rooms.values()) - min(left_wanting) <= 1


@given(appetites, appetites, place_counts)
def test_all_that_is_due_is_claimed_as_far_as_there_are_places(wanted, due, places):
    database = Database(due)

    claims = fill(wanted, places, database.claim)

    reachable = sum(min(count, due.get(operator, 0)) for operator, count in wanted.items())
    assert len(claims) == min(places, reachable)


def test_a_few_partners_are_asked_about_in_one_go():
    database = Database({1: 3})

    fill(dict.fromkeys(range(1, 5), 32), 256, database.claim)

    assert database.asked == 1


def test_a_partner_with_little_due_goes_out_beside_one_with_a_million():
    database = Database({1: 1_000_000, 2: 1})

    claims = fill({1: 64, 2: 64}, 64, database.claim)

    assert len(claims) == 64
    assert sum(claim.operator == 2 for claim in claims) == 1


def test_a_partner_has_no_more_calls_in_flight_than_its_cap():
    lanes = Lanes()
    partners = [partner(1, in_flight=2), partner(2, in_flight=5)]
    lanes.started(1)
    lanes.started(1)
    lanes.started(2)

    assert lanes.wanted(partners) == {2: 4}


def test_a_call_that_is_over_makes_room():
    lanes = Lanes()
    lanes.started(1)
    lanes.ended(1)

    assert lanes.wanted([partner(1, in_flight=2)]) == {1: 2}


def test_each_partner_is_first_in_its_turn():
    lanes = Lanes()
    partners = [partner(number, in_flight=1) for number in (1, 2, 3)]

    first = {next(iter(lanes.wanted(partners))) for _ in partners}

    assert first == {1, 2, 3}
