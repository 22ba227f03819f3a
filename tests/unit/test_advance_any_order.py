"""Promises 1 and 2: every order of every small set of events.

What is right for a set is computed by a dozen lines here that share nothing with the product.
"""

from collections.abc import Iterator, Sequence
from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.tickets import WINDOW, Life

WORDS = ("win", "lost", "rollback", "lost*")
LONG_AFTER = round(WINDOW.total_seconds()) * 10
RESULT = {"win": "won", "lost": "lost"}


def sets(size: int) -> Iterator[tuple[str, ...]]:
    """Yield every list of *size* notations, in their true order."""
    for words in product(WORDS, repeat=size):
        yield tuple(f"{word}@{second}" for second, word in enumerate(words, 1))


def truth(notations: Sequence[str]) -> set[str]:
    """Return what a ticket may rightly end as: one word, or two where they contradict."""
    ends: set[str] = set()
    for notation in notations:
        word = notation.partition("@")[0]
        if word == "rollback":
            ends = set()
        elif word.endswith("*"):
            ends = {RESULT[word[:-1]]}
        else:
            ends = ends | {RESULT[word]}
    return ends or {"open"}


def is_legal(sent: list[str]) -> bool:
    """Results and rollbacks take turns, beginning with a result."""
    return all((word == "rollback") == (place % 2 == 1) for place, word in enumerate(sent))


def ends_as(sent: list[str]) -> str:
    return "open" if not sent or sent[-1] == "rollback" else RESULT[sent[-1]]


def lived(order: Sequence[str], *, batches: Sequence[int] = ()) -> Life:
    """Let the notations arrive one by one, or in batches of these sizes; then end all windows."""
    life = Life().arrive("open@0")
    rest = list(order)
    for size in batches or [1] * len(rest):
        life.arrive(*rest[:size])
        rest = rest[size:]
    assert not rest
    return life.end_windows(now=LONG_AFTER)


def end(life: Life) -> str:
    word = life.ticket.result.value
    return "open" if word == "pending" else word


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_every_order_of_a_lawful_set_ends_in_the_one_right_state(size):
    """Promise 1, exhaustively: all sets, all orders."""
    for notations in sets(size):
        right = truth(notations)
        if len(right) > 1:
            continue
        for order in permutations(notations):
            life = lived(order)

            assert {end(life)} == right, f"{' | '.join(order)} should end {right}"
            assert is_legal(life.sent), f"{' | '.join(order)} sent {life.sent}"
            assert ends_as(life.sent) == end(life)
            assert life.parked == [], "nothing is parked indefinitely"


@pytest.mark.parametrize("size", [2, 3, 4])
def test_a_contradiction_never_ends_in_silence(size):
    """Promise 1 and H23: the first applied stays in force, and the other is rejected and shown."""
    for notations in sets(size):
        if len(truth(notations)) == 1:
            continue
        for order in permutations(notations):
            life = lived(order)

            shown = {life.outcome(notation)[0] for notation in notations}
            assert shown & {"rejected", "superseded"}, f"{' | '.join(order)} ended in silence"
            assert end(life) in truth(notations)
            assert is_legal(life.sent)


@pytest.mark.parametrize("words", list(product(("win", "rollback", "lost"), repeat=3)))
def test_numbered_events_give_one_sequence_in_any_order(words):
    """Promise 2: complete where events carry `sequence`; their times say nothing."""
    numbered = [f"{word}#{number}@{9 - number}" for number, word in enumerate(words, 1)]
    in_order = lived(numbered)

    for order in permutations(numbered):
        life = lived(order)

        assert life.sent == in_order.sent
        assert end(life) == end(in_order)


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[list[str], list[int]]:
    """Draw a lawful set of up to 8 notations, some repeated under new ids, in any batches."""
    words = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=6))
    notations = [f"{word}@{second}" for second, word in enumerate(words, 1)]
    again = draw(st.lists(st.sampled_from(notations), max_size=2, unique=True))
    order = draw(
        st.permutations([*notations, *(notation.replace("@", "'@") for notation in again)])
    )
    batches: list[int] = []
    while (left := len(order) - sum(batches)) > 0:
        batches.append(draw(st.integers(1, left)))
    return list(order), batches


@given(arrivals())
def test_repeats_and_batches_change_nothing_about_the_end(drawn):
    order, batches = drawn
    in_true_order = sorted(order, key=lambda notation: int(notation.partition("@")[2]))
    right = truth([notation.replace("'", "") for notation in in_true_order])

    life = lived(order, batches=batches)

    assert end(life) in right
    assert is_legal(life.sent)
    assert ends_as(life.sent) == end(life)
    assert life.parked == []
