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


def taken(*actions: str, pause: timedelta = PAUSE) -> list[AcceptedAction]:
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
def test_a_legal_sequence_has_no_fault(life):
    assert faults(taken(*life.split())) == []


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
    assert faults(taken(*life.split())) == [SequenceFault.ILLEGAL]


def test_the_words_name_the_action_and_where_the_ticket_stood():
    [violation] = check_sequence(taken("win", "closed", "rollback"), close_delay=DELAY)

    assert violation.message == "ticket_rollback for a ticket that is closed"


def test_a_close_right_at_the_delay_is_legal():
    assert faults(taken("win", "closed", pause=DELAY)) == []


def test_a_close_before_the_delay_is_early():
    assert faults(taken("win", "closed", pause=DELAY - timedelta(microseconds=1))) == [
        SequenceFault.EARLY_CLOSE
    ]


def test_the_delay_runs_from_the_last_result():
    sequence = [
        *taken("win", "rollback", "lost", pause=timedelta(hours=20)),
        AcceptedAction(
            "ticket_closed", NOON + timedelta(hours=63)
        ),  # 63 h after win, 23 h after lost
    ]

    assert faults(sequence) == [SequenceFault.EARLY_CLOSE]


def test_a_result_must_be_closed_once_the_sequence_is_complete():
    assert faults(taken("win")) == [SequenceFault.MISSING_CLOSE]
    assert faults(taken("win", "rollback", "lost")) == [SequenceFault.MISSING_CLOSE]
    assert faults(taken("win"), complete=False) == []


def test_ping_and_identify_say_nothing_about_a_ticket():
    sequence = [
        AcceptedAction("ping", NOON),
        *taken("win", "closed"),
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
# The same rules as a regular expression, written independently of the check.
LEGAL = re.compile(r"([cs]u*)?d*|[cs]?u*(rbu*)*(rx?)?")


@given(st.lists(st.sampled_from(sorted(LETTERS)), max_size=9))
def test_the_check_agrees_with_the_rules_written_as_a_regular_expression(life):
    written = "".join(LETTERS[action] for action in life)

    assert (faults(taken(*life), complete=False) == []) == bool(LEGAL.fullmatch(written))


@given(
    results=st.lists(st.sampled_from(["win", "lost", "void", "refund"]), min_size=1, max_size=5),
    first=st.sampled_from(["", "create", "reserve"]),
    cut=st.integers(min_value=0),
)
def test_any_life_by_the_rules_is_legal_and_so_is_each_beginning_of_it(results, first, cut):
    life = [*first.split(), *" rollback ".join(results).split(), "closed"]

    assert faults(taken(*life)) == []
    assert faults(taken(*life[: cut % (len(life) + 1)]), complete=False) == []
