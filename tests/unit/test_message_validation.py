"""A message that is no wakeup of ours is rejected before Celery sees it, whatever is wrong."""

from random import Random

import pytest

from tests.faults.poisoned_lists import LISTS
from tests.support.envelopes import task
from tests.support.plain_settings import plain_settings
from worker.celery.configuration import configuration
from worker.celery.message_validation import WAKEUP_BYTES_MAX, validate

ROUTES = configuration(plain_settings())["task_routes"]


@pytest.mark.parametrize("name", ROUTES)
def test_every_task_of_ours_passes_with_what_newer_versions_may_add(name):
    newer = task(name, kwargs={"added": [1, "two"]}, headers={"added": {"a": 1}})

    assert validate(newer)["headers"]["task"] == name


def test_the_list_of_kinds_is_not_shorter_than_what_was_found():
    assert len(LISTS) >= 40


@pytest.mark.parametrize("kind", LISTS)
def test_whatever_is_malformed_is_refused_in_words(kind):
    malformed = LISTS[kind]("deliver", Random(kind))  # noqa: S311 - rubbish, nothing secret

    with pytest.raises(ValueError, match=r"\w"):
        validate(malformed)


def test_no_more_is_read_than_a_wakeup_can_have():
    long = task("deliver", kwargs={"x": "y" * WAKEUP_BYTES_MAX})

    with pytest.raises(ValueError, match="a wakeup has no more than 65,536"):
        validate(long)
