"""Durations as people write them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from models.platform.durations import Duration, format_duration, parse_duration

MILLISECOND = timedelta(milliseconds=1)


class Wait(BaseModel):
    """A form with a duration in it."""

    pause: Duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("500ms", timedelta(milliseconds=500)),
        ("10s", timedelta(seconds=10)),
        ("15m", timedelta(minutes=15)),
        ("24h", timedelta(hours=24)),
        ("90d", timedelta(days=90)),
        ("1h30m", timedelta(minutes=90)),
        ("2d3h4m5s6ms", timedelta(days=2, hours=3, minutes=4, seconds=5, milliseconds=6)),
        ("0s", timedelta()),
        ("90s", timedelta(minutes=1, seconds=30)),
    ],
)
def test_a_written_duration_is_read(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text",
    [
        *("", "24", "24 h", " 24h", "24h\n", "-5s", "1.5h", "30m1h", "1h1h", "5 minutes", "1e3s"),
        "\N{ARABIC-INDIC DIGIT ONE}s",
        "9" * 10 + "s",
        "x" * 100_000,
    ],
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="1h30m") as refusal:
        parse_duration(text)

    assert len(str(refusal.value)) < 250  # however long the text was


def test_a_duration_no_clock_can_count_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        parse_duration("999999999d24h")


@pytest.mark.parametrize("text", ["500ms", "10s", "15m", "24h", "36h", "48h", "90d", "1h30m", "0s"])
def test_the_usual_durations_are_written_as_people_say_them(text: str) -> None:
    assert format_duration(parse_duration(text)) == text


@given(st.timedeltas(min_value=timedelta()))
def test_a_written_duration_reads_back_as_the_same(duration: timedelta) -> None:
    whole = duration - duration % MILLISECOND

    assert parse_duration(format_duration(whole)) == whole


@pytest.mark.parametrize("duration", [timedelta(seconds=-1), timedelta(microseconds=1)])
def test_what_has_no_written_form_is_refused(duration: timedelta) -> None:
    with pytest.raises(ValueError, match="whole number of milliseconds"):
        format_duration(duration)


def test_a_form_reads_and_writes_the_same_text() -> None:
    assert Wait.model_validate({"pause": "1h30m"}).model_dump_json() == '{"pause":"1h30m"}'
    assert Wait(pause=timedelta(hours=24)).model_dump(mode="json") == {"pause": "24h"}


@pytest.mark.parametrize("value", [24, 1.5, None, True])
def test_a_form_refuses_a_number_without_a_unit(value: object) -> None:
    with pytest.raises(ValidationError, match="with a unit"):
        Wait.model_validate({"pause": value})
