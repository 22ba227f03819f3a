"""The page about capacity says what the benchmark kept, and says so where it kept nothing."""

import json
import re

import pytest

from deploy import capacity

RESULTS = json.loads(capacity.RESULTS.read_text(encoding="utf-8"))
PAGE = capacity.PAGE.read_text(encoding="utf-8")


def results(**figures: float) -> dict[str, object]:
    """What a benchmark on four cores would keep."""
    spread = {
        name: {"median": value, "min": value, "max": value} for name, value in figures.items()
    }
    return {"figures": spread, "machine": {"cores": 4, "quick": False}}


def made(**figures: float) -> str:
    """The page's tables, made from *figures*."""
    return capacity.render_page(PAGE, results(**figures))


def row(page: str, beginning: str) -> list[str]:
    """The cells of the row that begins so, behind its name."""
    (line,) = re.findall(rf"^\| {re.escape(beginning)}[^|]*\|(.*)\|$", page, re.MULTILINE)
    return [cell.strip() for cell in line.split("|")]


def test_the_page_is_as_new_as_the_benchmark():
    assert capacity.render_page(PAGE, RESULTS) == PAGE, "generate it: python -m deploy.capacity"


def test_a_core_s_part_is_the_whole_divided_by_the_cores():
    page = made(**{capacity.INTAKE: 40_000})

    assert row(page, "events applied a second, an intake for each core") == ["40,000", "10,000"]
    assert "`make bench` on 4 cores" in page


def test_what_a_load_needs_is_its_peak_divided_by_a_core_s_part():
    """A billion a day: 11,574 a second, five times that at the peak, two events each."""
    page = made(**{capacity.INTAKE: 40_000})

    assert row(page, "tickets a second, average")[-1] == "11,574"
    assert row(page, "events a second, peak")[-1] == "115,741"
    assert row(page, "cores at the peak, applying alone")[-1] == "11.6"


def test_what_was_not_measured_is_not_made_up():
    page = made()

    assert row(page, "tickets closed a second") == [capacity.NOT_MEASURED] * 2
    assert row(page, "cores at the peak, closing alone") == [capacity.NOT_MEASURED] * 4


def test_of_several_sizes_the_largest_counts():
    page = made(
        **{
            "Slipway, 1,000,000 pending, closings/s": 100,
            "Slipway, 10,000,000 pending, closings/s": 200,
        }
    )

    assert row(page, "tickets closed a second") == ["200", "50.0"]


def test_every_rate_that_a_load_is_judged_by_is_one_the_benchmark_keeps():
    """A renamed figure would read as one that was never measured."""
    measured = capacity.Measured.of(RESULTS)

    assert [name for _, name in capacity.RATES if measured.figure(name) is None] == []


def test_a_page_that_lost_its_marks_is_refused():
    with pytest.raises(ValueError, match="has lost the marks"):
        capacity.render_page("# Capacity\n", RESULTS)
