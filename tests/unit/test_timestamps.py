"""Times as text: one lenient rule in every interface, on every Python."""

import json
import os
import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.events.decode import read
from models.events.event import Event
from models.platform.timestamps import TIMESTAMP_PATTERN, TIMESTAMP_RULE, parse_timestamp
from tests.support import envelopes, lottery
from tests.support.entries import entry, published
from tests.support.sources import ROOT

NINE = datetime(2024, 11, 20, 9, tzinfo=UTC)
TAKEN = [
    ("2024-11-20T09:00:00Z", NINE),
    ("2024-11-20t09:00:00z", NINE),
    ("2024-11-20 09:00:00Z", NINE),
    ("2024-11-20T9:00:00Z", NINE),
    ("2024-11-20 9:00z", NINE),
    ("2024-11-20T09:00Z", NINE),  # Java leaves seconds of 0 out
    ("2024-11-20T09:00:00+00:00", NINE),
    ("2024-11-20T09:00:00-00:00", NINE),
    ("2024-11-20T15:00:00+06:00", NINE),
    ("2024-11-20T15:00+06:00", NINE),
    ("2024-11-19T09:01:00.000-23:59", NINE),
    ("2024-11-20T09:00:00.5Z", NINE + timedelta(microseconds=500_000)),
    ("2024-11-20T09:00:00,5Z", NINE + timedelta(microseconds=500_000)),
    ("2024-11-20T09:00:00.123456789Z", NINE + timedelta(microseconds=123_456)),
    (f"2024-11-20T09:00:00.{'9' * 500}Z", NINE + timedelta(microseconds=999_999)),
    ("2024-02-29T09:00:00Z", NINE.replace(month=2, day=29)),
    ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    ("0001-01-01T00:00:00+14:00", datetime(1, 1, 1, tzinfo=UTC)),
    ("9999-12-31T23:59:59-14:00", datetime.max.replace(tzinfo=UTC)),
]
REFUSED = [
    ("2024-11-20T09:00:00", f"{TIMESTAMP_RULE}; this one has no offset"),
    ("2024-11-20 09:00", f"{TIMESTAMP_RULE}; this one has no offset"),
    ("2024-11-20T24:00:00Z", "hours end at 23: write 24:00 as 00:00 of the next day"),
    ("2024-11-20T25:61:99Z", "hour 25 does not exist; the last is 23"),
    ("2024-11-20T09:61:00Z", "minute 61 does not exist; the last is 59"),
    ("2024-11-20T09:00:60Z", "seconds end at 59: write a leap second as second 59"),
    ("2024-11-20T09:00:61Z", "second 61 does not exist; the last is 59"),
    ("2024-11-20T09:00:00+24:00", "an offset of hour 24 does not exist; the last is 23"),
    ("2024-11-20T09:00:00+02:60", "an offset of minute 60 does not exist; the last is 59"),
    ("2024-02-30T09:00:00Z", "there is no day 30: 2024-02 has days 01 to 29"),
    ("2023-02-29T09:00:00Z", "there is no day 29: 2023-02 has days 01 to 28"),
    ("2024-11-00T09:00:00Z", "there is no day 00: 2024-11 has days 01 to 30"),
    ("2024-13-01T09:00:00Z", "there is no month 13: months are 01 to 12"),
    ("0000-01-01T00:00:00Z", "there is no year 0000: years begin at 0001"),
    *[
        (
            f"2024-11-20T09:00:00{zone}",
            f"{TIMESTAMP_RULE}; this one names a time zone instead of its",
        )
        for zone in (" Europe/Berlin", "UTC", " GMT", "+02:00[Europe/Berlin]", "Z[UTC]", " CEST")
    ],
    *[
        (text, TIMESTAMP_RULE)
        for text in (
            *("", "yesterday", "2024-11-20", "1732093200", "20241120T090000Z", "2024-W47-3T09:00Z"),
            *("2024-11-20T09Z", "2024-11-20T09:00:0Z", "2024-11-20T9:0:00Z", "2024-1-2T09:00:00Z"),
            *("2024-11-20T09:00:00+0200", "2024-11-20T09:00:00+02", "2024-11-20T09:00:00 +02:00"),
            *("2024-11-20T09:00.5Z", "2024-11-20T09:00:00.Z", "2024-11-20  09:00:00Z"),
            *(" 2024-11-20T09:00:00Z", "2024-11-20T09:00:00Z\n", "2024-11-20T09:00:00\u221202:00"),
            *("\u0662024-11-20T09:00:00Z", "2024-11-20\u00a009:00:00Z", "+2024-11-20T09:00:00Z"),
        )
    ],
]
PYTHONS = [f"python3.{minor}" for minor in range(11, 15)]
ELSEWHERE = """
import json, sys
from models.platform.timestamps import parse_timestamp
def parse_result(text):
    try:
        return parse_timestamp(text).isoformat()
    except ValueError as error:
        return str(error)
print(json.dumps([parse_result(text) for text in json.load(sys.stdin)]))
"""


@pytest.mark.parametrize(("text", "meant"), TAKEN)
def test_what_is_taken(text, meant):
    assert parse_timestamp(text) == meant
    assert parse_timestamp(text).tzinfo is UTC


@pytest.mark.parametrize(("text", "why"), REFUSED)
def test_a_refusal_says_why(text, why):
    with pytest.raises(ValueError, match=re.escape(why)):
        parse_timestamp(text)


@pytest.mark.parametrize(("text", "meant"), TAKEN)
def test_every_channel_takes_the_same_times(text, meant):
    in_lottery = lottery.accepted(lottery.settlement(timestamp=text, draw_date=text))
    events = [
        read(entry(published(top={"occurred_at": text}))),
        envelopes.accepted(envelopes.task(kwargs={**envelopes.DATA, "occurred_at": text})),
        envelopes.accepted(envelopes.envelope({**envelopes.EVENT, "occurred_at": text})),
        in_lottery,
    ]

    assert [event.occurred_at for event in events if isinstance(event, Event)] == [meant] * 4


@pytest.mark.parametrize(("text", "why"), REFUSED)
def test_every_channel_refuses_the_same_times_in_the_same_words(text, why):
    refused = [
        read(entry(published(top={"occurred_at": text}))),
        envelopes.refused(envelopes.task(kwargs={**envelopes.DATA, "occurred_at": text})),
        lottery.refused(lottery.settlement(timestamp=text)),
        lottery.refused(lottery.settlement(draw_date=text)),
    ]

    names = ["occurred_at", "occurred_at", "timestamp", "draw_date"]
    for name, rejected in zip(names, refused, strict=True):
        assert not isinstance(rejected, Event)
        assert f"{name}: {why}" in rejected.message


@pytest.mark.parametrize("python", PYTHONS)
def test_every_python_reads_a_time_alike(python):
    interpreter = shutil.which(python)
    texts = [text for text, _ in (*TAKEN, *REFUSED)]
    chosen = os.environ | {"PYENV_VERSION": python.removeprefix("python")}
    if (
        interpreter is None
        or subprocess.run(
            [interpreter, "-V"], env=chosen, check=False, capture_output=True
        ).returncode
    ):
        pytest.skip(f"{python} is not installed")

    completed = subprocess.run(
        [interpreter, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{ELSEWHERE}"],
        env=chosen,
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=True,
    )

    for text, there in zip(texts, json.loads(completed.stdout), strict=True):
        try:
            here = parse_timestamp(text).isoformat()
        except ValueError as error:
            here = str(error)
        assert there == here


PIECES = (
    *("2024", "0000", "1900", "2000", "-", "-", "02", "11", "29", "30", "31", "00", "T", "t", " "),
    *(":", ":", "9", "09", "23", "24", "59", "60", ".", ",", "5", "Z", "z", "+", "02", "\n", "x"),
)


def parts(*choices: str) -> st.SearchStrategy[str]:
    return st.sampled_from(choices)


NEARLY = st.tuples(
    parts("2024", "2023", "1900", "2000", "0000", "0004", "0100", "0400", "9999"),
    parts("-"),
    st.integers(0, 13).map(lambda number: f"{number:02}"),
    parts("-"),
    st.integers(0, 32).map(lambda number: f"{number:02}"),
    parts("T", "t", " ", ""),
    st.integers(0, 25).map(str) | st.integers(0, 25).map(lambda number: f"{number:02}"),
    st.integers(0, 61).map(lambda number: f":{number:02}"),
    parts("") | st.integers(0, 61).map(lambda number: f":{number:02}"),
    parts("", "", ".", ",", ".5", ",1234567"),
    parts("Z", "z", "", "+02:00", "-23:59", "+24:00", "+02:60", "+0200", " UTC"),
).map("".join)


@given(NEARLY | st.lists(st.sampled_from(PIECES), max_size=16).map("".join) | st.text(max_size=30))
@example("2024-02-29 9:00Z")
def test_the_published_pattern_takes_exactly_what_is_read(text):
    try:
        parse_timestamp(text)
    except ValueError:
        taken = False
    else:
        taken = True

    assert (re.fullmatch(TIMESTAMP_PATTERN.removesuffix("$"), text) is not None) == taken


@given(
    st.datetimes(
        datetime(1, 1, 2),  # noqa: DTZ001 - Hypothesis asks for naive bounds
        datetime(9999, 12, 30),  # noqa: DTZ001 - as above
        timezones=st.integers(-1439, 1439).map(lambda m: timezone(timedelta(minutes=m))),
    )
)
def test_what_python_writes_is_read_as_it_was(written):
    text = written.isoformat()

    assert parse_timestamp(text) == parse_timestamp(text.replace("T", " ")) == written
