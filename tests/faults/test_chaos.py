"""The short form of `make chaos`: a minute of faults of every kind, and the records balance."""

from datetime import timedelta

import pytest

from tests.faults.chaos import Trial
from tests.faults.environment import perform
from tests.faults.report import in_words
from tests.faults.schedule import Fault
from tests.support.server_folders import passable_folder

SHORT = Trial(
    seed=20_261_120,
    seconds=40,
    lives_per_second=8,
    fault_every=0.2,
    close_delay=timedelta(seconds=12),
    longest=0.6,
    long=2.0,
)


@pytest.mark.slow(seconds=120)
def test_whatever_breaks_nothing_is_lost_out_of_order_or_early():
    with passable_folder() as folder:
        report = perform(SHORT, folder=folder)

    report_text = in_words(report)
    assert report.passed, report_text
    assert report.kinds == set(Fault) - report.left_out, report_text
    assert report.bad_ends == [], report_text
    assert set(report.exit_codes) == {0}, report_text
