"""Simulated lives: what they consist of, and when their steps are published."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from fakeredis import FakeRedis, FakeServer
from redis.backoff import NoBackoff
from redis.retry import Retry

from models.events.decode import read
from models.events.event import Entry
from models.events.event import Event as ReadEvent
from producers.publisher import OutgoingEvent, Publisher, RedisUnavailable, event
from producers.simulation.backends import play
from producers.simulation.sequence_rules import AcceptedAction, check_sequence
from producers.simulation.stories import Plot, stories
from producers.simulation.ticket_facts import amounts

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
AMOUNTS = ["price", "stake", "wht_amount", "wht", "ext_amount", "ext", "ext_type"]
PAYOUTS = ["gross_payout", "net_payout"]
NAMES = ["operator", "ticket_id"]
FIELDS = {  # contracts 1.4; `ticket_open` has the fields of `ticket_create`
    "ticket_open": [
        *NAMES,
        *["ticket_code", "player_id"],
        *AMOUNTS,
        *PAYOUTS,
        *["currency", "atag", "rtag", "ticket_type"],
    ],
    "ticket_win": NAMES,
    "ticket_lost": NAMES,
    "ticket_void": [*NAMES, *AMOUNTS, *PAYOUTS],
    "ticket_refund": [*NAMES, "reason"],
    "ticket_rollback": [*NAMES, "reason"],
}


class World:
    """Time that passes only while a test waits."""

    def __init__(self) -> None:
        self.now = NOON
        self.stop_at = NOON + timedelta(hours=1)

    def wait(self, seconds: float) -> bool:
        self.now += timedelta(seconds=seconds)
        return self.now >= self.stop_at


@pytest.fixture
def world():
    return World()


@pytest.fixture
def server():
    return FakeServer()


@pytest.fixture
def redis(server):
    with FakeRedis(server=server, retry=Retry(NoBackoff(), 0)) as client:
        yield client


def lives(count: int, *, seed: int = 1, lives_per_second: float = 10):
    return list(
        stories(count, operators=["acme", "bolt"], seed=seed, lives_per_second=lives_per_second)
    )


def test_the_same_seed_tells_the_same_lives():
    assert lives(50) == lives(50)
    assert lives(50) != lives(50, seed=2)


def test_every_plot_is_among_the_first_lives():
    assert [story.plot for story in lives(7)] == list(Plot)


def test_tickets_and_codes_are_unlike_each_other():
    opened = [story.steps[0].data for story in lives(3_000)]

    assert len({data["ticket_id"] for data in opened}) == 3_000
    assert len({data["ticket_code"] for data in opened}) == 3_000
    assert all(len(str(data["ticket_id"])) == 19 for data in opened)


def test_every_life_is_a_legal_sequence_for_a_partner():
    for story in lives(300):
        opening, *steps = story.steps
        actions = [AcceptedAction(step.action, NOON + step.after) for step in steps]
        assert opening.action == "ticket_open"
        actions.append(AcceptedAction("ticket_closed", actions[-1].at + timedelta(hours=24)))
        assert check_sequence(actions, close_delay=timedelta(hours=24)) == ()


def test_steps_carry_the_fields_of_their_action_in_order():
    for story in lives(200):
        for step in story.steps:
            assert list(step.data) == FIELDS[step.action]
            assert step.data["operator"] == story.operator
            assert step.data["ticket_id"] == story.ticket_id


def test_every_step_is_an_event_that_the_intake_reads():
    for story in lives(100):
        for step in story.steps:
            published_event = event(step.action, step.data, occurred_at=NOON + step.after)
            read_back = read(
                Entry("1795158486040-0", {b"event": json.dumps(published_event).encode()})
            )

            assert isinstance(read_back, ReadEvent), read_back
            assert (read_back.ticket_id, read_back.action) == (story.ticket_id, step.action)


@pytest.mark.parametrize(
    ("price", "odds", "wht", "ext", "expected"),
    [
        (2000, 1824, 200, 125, [2000, 1778, 6131, 20.0, 222, 12.5, "inclusive", 32431, 26300]),
        (500, 640, 100, 125, [500, 444, 240, 10.0, 56, 12.5, "inclusive", 2842, 2602]),
    ],
)
def test_amounts_relate_as_in_the_samples(price, odds, wht, ext, expected):
    """Contracts 1.5."""
    computed = amounts(price, odds_hundredths=odds, wht_tenths=wht, ext_tenths=ext)

    assert list(computed.items()) == list(zip(AMOUNTS + PAYOUTS, expected, strict=True))


def test_a_life_begins_as_configured_and_what_is_reserved_is_paid_for():
    begin_with = ("ticket_create", "ticket_reserve")
    begun = stories(4, operators=["acme"], seed=7, lives_per_second=1, begin_with=begin_with)

    beginnings = [[step.action for step in story.steps[:2]] for story in begun]

    assert [first for first, _ in beginnings] == [*begin_with, *begin_with]
    assert [second == "ticket_paid" for _, second in beginnings] == [False, True, False, True]


def published_events(redis) -> list[OutgoingEvent]:
    return [json.loads(fields[b"event"]) for _, fields in redis.xrange("ticket-events")]


def test_every_step_is_published_when_its_time_has_come(world, redis):
    stories_told = lives(40)
    arrived_at = []

    published = play(
        stories_told,
        Publisher(redis),
        wait=world.wait,
        now=lambda: world.now,
        on_published=lambda so_far: arrived_at.extend(
            [world.now] * (len(so_far.events) - len(arrived_at))
        ),
    )

    due = sorted(NOON + s.starts_after + step.after for s in stories_told for step in s.steps)
    happened = [datetime.fromisoformat(sent["occurred_at"]) for sent in published_events(redis)]
    assert happened == due
    assert published_events(redis) == published.events
    assert all(
        timedelta() <= arrived - at <= timedelta(milliseconds=10)
        for arrived, at in zip(arrived_at, happened, strict=True)
    )


def test_twice_the_speed_takes_half_the_time(world, redis):
    play(lives(20), Publisher(redis), wait=world.wait, now=lambda: world.now, speed=2)

    last = max(s.starts_after + step.after for s in lives(20) for step in s.steps)
    happened = [datetime.fromisoformat(sent["occurred_at"]) for sent in published_events(redis)]
    assert happened[-1] == NOON + last / 2
    assert all(earlier <= later for earlier, later in pairwise(happened))


def test_an_outage_delays_events_and_changes_none(world, redis, server):
    def wait(seconds: float) -> bool:
        server.connected = not NOON + timedelta(seconds=2) < world.now < NOON + timedelta(seconds=9)
        return bool(world.wait(seconds))

    published = play(lives(30), Publisher(redis), wait=wait, now=lambda: world.now)

    assert published.unconfirmed == []
    assert published_events(redis) == published.events
    assert len(published_events(redis)) == sum(len(story.steps) for story in lives(30))


def test_an_outage_of_more_than_a_minute_is_an_error(world, redis, server):
    server.connected = False

    with pytest.raises(RedisUnavailable):
        play(lives(3), Publisher(redis), wait=world.wait, now=lambda: world.now)

    assert timedelta(minutes=1) < world.now - NOON < timedelta(minutes=2)


def test_backends_may_be_given_more_patience(world, redis, server):
    def wait(seconds: float) -> bool:
        server.connected = world.now > NOON + timedelta(minutes=3)
        return bool(world.wait(seconds))

    server.connected = False
    patience = timedelta(minutes=4)
    play(lives(3), Publisher(redis), wait=wait, now=lambda: world.now, patience=patience)

    assert len(published_events(redis)) == sum(len(story.steps) for story in lives(3))


def test_a_play_that_is_stopped_tells_what_it_published(world, redis):
    world.stop_at = NOON + timedelta(seconds=1)

    published = play(lives(30), Publisher(redis), wait=world.wait, now=lambda: world.now)

    assert 0 < len(published.events) < 30
    assert published_events(redis) == published.events
