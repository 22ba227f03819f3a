"""What the demo shows while it runs: what it is about, who is down, and what comes next."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from models.vocabulary import Status
from tests.support.sources import ROOT
from worker.cli.demo.database_stats import Closing, DemoCounts, PartnerState
from worker.cli.demo.readme_pictures import BLOCK, ScreenRecording, as_text
from worker.cli.demo.screen import Frame, Starting, as_line, as_screen

NOW = datetime(2026, 11, 20, 10, tzinfo=UTC)  # a picture's own; no clock is asked
SECOND = timedelta(seconds=1)
FRAME = Frame(
    seconds=12.0,
    now=NOW,
    phase="tickets live",
    tickets=240,
    close_delay=10 * SECOND,
    published=29,
    counts=DemoCounts({Status.RESULTED: 4}, {"applied": 29}, 0, 4, 0),
    notices_per_second=3.0,
    partners=[PartnerState("acme", 0, None), PartnerState("betsy", 0, None)],
    closings=[Closing("acme", "1", "won", NOW + 3 * SECOND), Closing("betsy", "2", "lost", NOW)],
    lives=[],
    addresses="gateway http://127.0.0.1:8000",
)
DOWN = replace(FRAME, partners=[FRAME.partners[0], PartnerState("betsy", 19, NOW + 7 * SECOND)])
CLOSING = replace(FRAME, counts=DemoCounts({Status.CLOSED: 7}, {"applied": 29}, 0, 4, 0))


def test_its_title_says_what_is_seen_and_what_the_24_hours_are_shortened_to():
    assert "240 betting tickets" in as_text(as_screen(FRAME))
    assert "24 hours (here 10 s)" in as_text(as_screen(FRAME)).replace("\n", " ")


def test_the_next_closings_count_down():
    later = replace(FRAME, now=NOW + 2 * SECOND)

    assert "in 3.0 s" in as_text(as_screen(FRAME))
    assert "in 1.0 s" in as_text(as_screen(later))


def test_a_partner_that_is_down_is_named_with_what_waits_for_it():
    picture = as_text(as_screen(DOWN))

    assert "betsy  is down: circuit open, next probe in 7 s  19 tickets waiting" in picture
    assert "acme   accepts its notices" in picture
    assert as_line(DOWN).endswith("; betsy is down")
    assert "down" not in as_line(FRAME)


def test_the_first_seconds_show_which_processes_are_ready():
    starting = Starting(2.5, ready=["gateway"], missing=["intake", "deliver"])

    assert "✓  gateway" in as_text(as_screen(starting))
    assert "…  intake" in as_text(as_screen(starting))
    assert "1 of 3 processes are ready, starting intake, deliver" in as_line(starting)


def test_the_first_picture_of_each_kind_is_kept_in_the_order_of_the_demo():
    recording = ScreenRecording()

    for picture in (Starting(1, [], ["beat"]), FRAME, FRAME, DOWN, DOWN, CLOSING, CLOSING):
        recording.note(picture)

    assert list(recording.pictures.values()) == [
        as_text(as_screen(picture)) for picture in (FRAME, DOWN, CLOSING)
    ]


def test_the_readme_shows_four_moments_and_a_verdict_that_is_right():
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = BLOCK.findall(page)

    assert block.count("```console") == 4
    assert "Everything is right." in block
    assert "is down: circuit open" in block
