"""Which actions a partner may get in which order (contracts 1.4 and 1.6)."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.simulation.sequence_rules import AcceptedAction, SequenceFault, check_sequence

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
DELAY = timedelta(hours=24)
PAUSE = timedelta(hours=25)  # between two actions, unless a test says otherwise


def told(*actions: str, pause: timedelta = PAUSE) -> list[AcceptedAction]:
    """Actions, *pause* apart, written without `ticket_`."""
    return [
        AcceptedAction(f"ticket_{action}", NOON + n * pause) for n, action in enumerate(actions)
    ]


def faults(sequence: list[AcceptedAction], *, complete: bool = True) -> list[SequenceFault]:
    return [
        violation.fault
        for violation in check_sequence(sequence, close_delay=DELAY, complete=complete)
    ]


@pytest.mark.parametrize(
    "life",
    [
        "win closed",
        "lost closed",
        "void closed",
        "refund closed",
        "win rollback lost closed",
        "win rollback win closed",
        "win rollback refund closed",
        "win rollback lost rollback void closed",
        "win rollback",
        "create win closed",
        "create",
        "reserve win closed",
        "reserve discard",
        "create discard",
        "create update discard",
        "create update win rollback update lost closed",
        "update win closed",
        "discard",
        "discard discard",
        "",
    ],
)
def test_a_legal_life_has_no_fault(life):
    assert faults(told(*life.split())) == []


@pytest.mark.parametrize(
    "life",
    [
        "win win closed",
        "win lost closed",
        "rollback",
        "open",
        "paid",
        "lose",
        "win rollback rollback lost closed",
        "win closed closed",
        "win closed rollback",
        "win closed lost",
        "win closed discard",
        "win closed update",
        "win update closed",
        "win rollback closed",
        "closed",
        "create closed",
        "create create win closed",
        "create reserve win closed",
        "win create closed",
        "win discard closed",
        "update discard",
        "win rollback discard",
        "win rollback create",
        "discard create",
        "discard win",
        "discard closed",
    ],
)
def test_an_action_that_does_not_follow_is_illegal(life):
    assert faults(told(*life.split())) == [SequenceFault.ILLEGAL]


def test_the_words_name_the_action_and_where_the_ticket_stood():
    [violation] = check_sequence(told("win", "closed", "rollback"), close_delay=DELAY)

    assert violation.message == "ticket_rollback for a ticket that is closed"


def test_a_close_right_at_the_delay_is_legal():
    assert faults(told("win", "closed", pause=DELAY)) == []


def test_a_close_before_the_delay_is_early():
    assert faults(told("win", "closed", pause=DELAY - timedelta(microseconds=1))) == [
        SequenceFault.EARLY_CLOSE
    ]


def test_the_delay_runs_from_the_last_result():
    sequence = [
        *told("win", "rollback", "lost", pause=timedelta(hours=20)),
        AcceptedAction(
            "ticket_closed", NOON + timedelta(hours=63)
        ),  # 63 h after win, 23 h after lost
    ]

    assert faults(sequence) == [SequenceFault.EARLY_CLOSE]


def test_a_standing_result_must_be_closed_once_the_story_is_complete():
    assert faults(told("win")) == [SequenceFault.MISSING_CLOSE]
    assert faults(told("win", "rollback", "lost")) == [SequenceFault.MISSING_CLOSE]
    assert faults(told("win"), complete=False) == []


def test_ping_and_identify_say_nothing_about_a_ticket():
    sequence = [
        AcceptedAction("ping", NOON),
        *told("win", "closed"),
        AcceptedAction("identify", NOON),
    ]

    assert faults(sequence) == []


LETTERS = {
    "create": "c",
    "reserve": "s",
    "update": "u",
    "discard": "d",
    "win": "r",
    "lost": "r",
    "void": "r",
    "refund": "r",
    "rollback": "b",
    "closed": "x",
}
# The same rules as a regular expression: a third opinion on the second one.
LEGAL = re.compile(r"([cs]u*)?d*|[cs]?u*(rbu*)*(rx?)?")


@given(st.lists(st.sampled_from(sorted(LETTERS)), max_size=9))
def test_the_judgement_agrees_with_the_rules_written_as_a_regular_expression(life):
    written = "".join(LETTERS[action] for action in life)

    assert (faults(told(*life), complete=False) == []) == bool(LEGAL.fullmatch(written))


@given(
    results=st.lists(st.sampled_from(["win", "lost", "void", "refund"]), min_size=1, max_size=5),
    first=st.sampled_from(["", "create", "reserve"]),
    cut=st.integers(min_value=0),
)
def test_any_lawful_life_is_legal_and_so_is_each_beginning_of_it(results, first, cut):
    life = [*first.split(), *" rollback ".join(results).split(), "closed"]

    assert faults(told(*life)) == []
    assert faults(told(*life[: cut % (len(life) + 1)]), complete=False) == []
