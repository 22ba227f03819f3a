"""NDJSON is split while it arrives, whatever the pieces, and nothing is held but one line."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.gateway.ndjson import LineSplitter, NdjsonLine

LONGEST = 8
TEXTS = st.lists(st.binary(max_size=12).map(lambda raw: raw.replace(b"\n", b"-")), max_size=8)


def split(text: bytes, *cuts: int) -> list[NdjsonLine]:
    lines = LineSplitter(longest=LONGEST)
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    complete = [line for start, end in pairwise(places) for line in lines.feed(text[start:end])]
    return [*complete, *lines.end()]


@given(TEXTS, st.lists(st.integers(min_value=0), max_size=6), st.booleans())
def test_however_it_is_cut_the_lines_are_the_same(texts, cuts, ended):
    text = b"\n".join(texts) + (b"\n" if ended and texts else b"")

    expected = [
        NdjsonLine(number, raw.strip() if len(raw) <= LONGEST + 1 else None)
        for number, raw in enumerate(texts, 1)
        if raw.strip() or len(raw) > LONGEST + 1
    ]
    assert split(text, *cuts) == expected


def test_empty_lines_are_counted_and_left_out():
    assert split(b"\n\r\n  a \r\n\nb") == [NdjsonLine(3, b"a"), NdjsonLine(5, b"b")]


@pytest.mark.parametrize("pieces", [1, 100])
def test_of_a_line_that_is_too_long_nothing_is_kept(pieces):
    lines = LineSplitter(longest=LONGEST)
    for _ in range(pieces):
        assert list(lines.feed(b"x" * 1000)) == []

    assert len(lines._line) == 0  # noqa: SLF001 - what is held is the point

    assert list(lines.feed(b"\nshort\n")) == [NdjsonLine(1, None), NdjsonLine(2, b"short")]
