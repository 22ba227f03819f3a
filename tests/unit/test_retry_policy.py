"""When a notice is tried again, and when it is given up."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.vocabulary import Action
from tests.support.sample_notice import PARTNER
from worker.delivery.outcome import RETRY_AFTER_MAX, RetryPolicy, read_retry_after

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
LIMIT = timedelta(hours=48)
SECONDS = (10, 30, 120, 600, 1800, 3600, 7200)
POLICY = RetryPolicy(
    schedule=tuple(timedelta(seconds=s) for s in SECONDS),
    jitter=0.2,
    limit=LIMIT,
    discard_interval=timedelta(minutes=30),
)
ages = st.timedeltas(min_value=timedelta(), max_value=timedelta(hours=100))
chances = st.floats(min_value=0, max_value=1)
asks = st.timedeltas(min_value=timedelta(), max_value=RETRY_AFTER_MAX)
counts = st.integers(min_value=0, max_value=1000)


def test_the_pauses_of_the_schedule():
    """10 s, 30 s, 2 min, 10 min, 30 min, 1 h, then every 2 h."""
    pauses = [
        POLICY.pause(Action.WIN, tries=tries, age=timedelta(), chance=0) for tries in range(10)
    ]

    assert pauses == [timedelta(seconds=s) for s in (*SECONDS, 7200, 7200, 7200)]


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_a_partner_that_never_answers_is_given_up_at_the_limit(chance):
    """The last attempt is made at 48 h: not hours before it, nor hours after it."""
    age, tries = timedelta(), 0
    while (pause := POLICY.pause(Action.WIN, tries=tries, age=age, chance=chance)) is not None:
        age, tries = age + pause, tries + 1

    assert LIMIT <= age <= LIMIT + timedelta(minutes=30)
    assert 24 <= tries <= 30


def test_a_discard_is_repeated_every_half_hour_up_to_the_limit():
    """Contracts 1.6."""
    age, tries = timedelta(), 0
    while (pause := POLICY.pause(Action.DISCARD, tries=tries, age=age, chance=0)) is not None:
        assert pause == timedelta(minutes=30)
        age, tries = age + pause, tries + 1

    assert age == LIMIT
    assert tries == 96


@given(st.sampled_from(Action), counts, ages, asks, chances)
def test_chance_only_adds_and_never_more_than_its_part(action, tries, age, retry_after, chance):
    """Rule 15: a pause may be a promise of silence, so nothing shortens it."""
    least = POLICY.pause(action, tries=tries, age=age, retry_after=retry_after, chance=0)
    pause = POLICY.pause(action, tries=tries, age=age, retry_after=retry_after, chance=chance)

    if least is None or pause is None:
        assert pause == least
    else:
        assert least <= pause <= least * 1.2


@given(st.sampled_from(Action), counts, ages, asks, chances)
def test_a_pause_is_never_below_the_first_nor_below_what_was_asked(
    action, tries, age, retry_after, chance
):
    pause = POLICY.pause(action, tries=tries, age=age, retry_after=retry_after, chance=chance)

    assert (pause is None) == (age >= LIMIT)
    if pause is not None:
        assert pause >= max(POLICY.schedule[0], retry_after)


@given(counts, chances)
def test_pauses_never_get_shorter_far_from_the_limit(tries, chance):
    this = POLICY.pause(Action.LOST, tries=tries, age=timedelta(), chance=chance)
    following = POLICY.pause(Action.LOST, tries=tries + 1, age=timedelta(), chance=chance)

    assert this is not None
    assert following is not None
    assert this <= following


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0),
        ("0", 0),
        ("120", 120),
        (" 120 ", 120),
        ("7201", 7200),
        ("99999999999999999999999999", 7200),
        ("-5", 0),
        ("1.5", 0),
        ("soon", 0),
        ("", 0),
        ("\N{ARABIC-INDIC DIGIT FIVE}", 0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0),
        (format_datetime(NOW + timedelta(days=1), usegmt=True), 7200),
        ("Friday, 20-Nov-26 10:00:30 GMT", 30),  # RFC 850, which RFC 9110 obliges us to read
        ("Fri Nov 20 10:00:30 2026", 30),  # asctime, likewise
        ("Fri, 20 Nov 2026 10:00:30 -0000", 30),
        ("Fri, 32 Nov 2026 10:00:30 GMT", 0),
        ("Fri, 20 Nov 99999 10:00:30 GMT", 0),
    ],
)
def test_retry_after_is_read_as_seconds_or_date_and_bounded(header, seconds):
    """RFC 9110, 10.2.3. A partner cannot ask for silence without end."""
    assert read_retry_after(header, now=NOW) == timedelta(seconds=seconds)


@given(st.text())
def test_no_retry_after_breaks_anything(header):
    assert timedelta() <= read_retry_after(header, now=NOW) <= RETRY_AFTER_MAX


@given(
    schedule=st.lists(st.integers(10, 3600), min_size=1, max_size=20),
    limit=st.integers(60, 24 * 3600),
    chances=st.randoms(use_true_random=False),
)
def test_with_any_schedule_of_its_own_a_notice_is_tried_to_the_limit_and_then_no_more(
    schedule, limit, chances
):
    """The last attempt is made at the limit, or one jittered pause after it at most."""
    pauses = [timedelta(seconds=seconds) for seconds in schedule]
    own = POLICY.of_partner(
        replace(
            PARTNER,
            retry_schedule=",".join(f"{seconds}s" for seconds in schedule),
            retry_limit=timedelta(seconds=limit),
        )
    )
    age, tries = timedelta(), 0
    while (
        pause := own.pause(Action.WIN, tries=tries, age=age, chance=chances.random())
    ) is not None:
        planned = pauses[min(tries, len(pauses) - 1)]
        assert pause <= max(planned, pauses[0]) * (1 + own.jitter)
        assert pause >= min(planned, own.limit - age)
        age += pause
        tries += 1

    assert own.limit <= age <= (own.limit + pauses[0]) * (1 + own.jitter)


def test_a_partner_s_own_schedule_and_limit_count():
    own = POLICY.of_partner(
        replace(PARTNER, retry_schedule="1m,5m", retry_limit=timedelta(hours=2))
    )
    pauses = [own.pause(Action.WIN, tries=n, age=timedelta(), chance=0) for n in range(3)]

    assert pauses == [timedelta(minutes=n) for n in (1, 5, 5)]
    assert own.pause(Action.WIN, tries=9, age=timedelta(hours=2), chance=0) is None
    assert own.discard_interval == POLICY.discard_interval
    assert POLICY.of_partner(PARTNER) is POLICY
