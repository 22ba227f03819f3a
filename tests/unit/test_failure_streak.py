"""A partner is given up after twenty attempts in a row that led to nothing."""

from dataclasses import replace
from datetime import timedelta

import pytest

from models.outbox.values import (
    Attempt,
    Dead,
    Delivered,
    RetryLater,
    TokenTrouble,
    Unanswered,
    Verdict,
)
from models.vocabulary import Action
from tests.support.sample_notice import WIN
from worker.delivery.failure_streak import FAILURES_MAX, FailureStreaks

PAUSE = timedelta(seconds=10)
OUT_OF_TIME = Dead("not taken within 48 h", out_of_time=True)


def attempt(verdict: Verdict, *, operator: int = 1) -> Attempt:
    claim = replace(WIN, operator=operator)
    return Attempt(claim, verdict, PAUSE, problem="timed out after 5 s")


@pytest.mark.parametrize("verdict", [RetryLater(PAUSE), Unanswered(PAUSE), OUT_OF_TIME], ids=repr)
def test_the_twentieth_in_a_row_gives_it_up(verdict):
    before = FailureStreaks().after([attempt(verdict)] * (FAILURES_MAX - 1))
    assert before.to_open == {}

    to_open = before.after([attempt(verdict)]).to_open

    assert to_open == {1: "20 attempts in a row led to nothing; the last: timed out after 5 s"}


@pytest.mark.parametrize("answer", [Delivered(), Dead("answered 404")], ids=repr)
def test_an_answer_that_settles_something_starts_the_streak_again(answer):
    streaks = FailureStreaks().after([attempt(Unanswered(PAUSE))] * 19)

    after = streaks.after([attempt(answer), *[attempt(Unanswered(PAUSE))] * 19])

    assert after.to_open == {}


def test_a_401_that_a_new_token_makes_up_for_neither_counts_nor_restarts():
    """A revoked token is refused to all calls that are under way with it."""
    renewed = replace(attempt(RetryLater(PAUSE)), token_trouble=TokenTrouble.RENEWED)
    streaks = FailureStreaks().after([attempt(Unanswered(PAUSE))] * 19)

    after = streaks.after([renewed] * 32)

    assert after == streaks


def create(verdict: Verdict, status: int | None) -> Attempt:
    failed = attempt(verdict)
    claim = replace(failed.claim, action=Action.CREATE)
    refused = isinstance(verdict, Dead)
    return replace(failed, http_status=status, claim=claim, refused=refused)


@pytest.mark.parametrize(
    ("verdict", "status"),
    [(Dead("answered 402"), 402), (Dead("answered 403"), 403), (Unanswered(PAUSE), 202)],
)
def test_creates_that_a_partner_refuses_or_puts_off_are_no_reason_to_stop(verdict, status):
    """Decision 0008: thirty-two players without money, all at once."""
    assert FailureStreaks().after([create(verdict, status)] * 32) == FailureStreaks()


@pytest.mark.parametrize("refused", [True, False])
def test_discards_of_tickets_that_the_partner_does_not_know_are_none_either(refused):
    """They go on after a refusal (rule 10), so no verdict says that it was one."""
    failed = attempt(RetryLater(PAUSE))
    claim = replace(failed.claim, action=Action.DISCARD)
    discard = replace(failed, claim=claim, http_status=404 if refused else 503, refused=refused)

    assert bool(FailureStreaks().after([discard] * 32).to_open) is not refused


@pytest.mark.parametrize(
    ("verdict", "status"),
    [
        (Unanswered(PAUSE), None),
        (Unanswered(PAUSE), 504),
        (RetryLater(PAUSE), 503),
        (RetryLater(PAUSE), 429),
    ],
)
def test_creates_that_fail_otherwise_count_like_anything_else(verdict, status):
    assert FailureStreaks().after([create(verdict, status)] * 20).to_open


def test_a_partner_given_up_starts_again():
    streaks = FailureStreaks().after([attempt(Unanswered(PAUSE))] * 30)

    assert streaks.counts == {}
    assert streaks.after([attempt(Unanswered(PAUSE))]).to_open == {}


def test_partners_are_counted_apart():
    both = [attempt(RetryLater(PAUSE)), attempt(RetryLater(PAUSE), operator=2)] * 19

    assert FailureStreaks().after(
        [*both, attempt(RetryLater(PAUSE), operator=2)]
    ).to_open.keys() == {2}


def test_counting_what_was_not_recorded_leaves_no_trace():
    """The batch is tried again, and must not count twice."""
    streaks = FailureStreaks().after([attempt(RetryLater(PAUSE))] * 10)
    streaks.after([attempt(RetryLater(PAUSE))] * 9)

    assert streaks.counts == {1: 10}
