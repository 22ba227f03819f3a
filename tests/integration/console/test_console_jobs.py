"""The pages of jobs: what each does in words, how far it is, and who may stop it."""

import pytest
from sqlalchemy import text

from models.jobs import KINDS, describe_job, find_job, start_job
from models.operators.interventions import Person
from models.platform.clock import DatabaseClock
from tests.support.console_app import ConsoleApp, Page
from worker.console.pages import jobs

ERASURE = "erase_player"
INSERT = text("""
    INSERT INTO job (kind, arguments, who, why, created_at, next_at)
    VALUES (:kind, '{"operator": "acme", "erasure": 4}', 'support', 'player-77 asked', now(),
            now() - interval '1 hour')
 RETURNING id""")
DONE = text("""
    UPDATE job SET state = 'done', done = 30, refused = 12, expected = 42, ended_at = now(),
           started_at = now() - interval '60 s', progressed_at = now(),
           reasons = '{"a rollback is never skipped": 12}'
     WHERE id = :id""")


def start(
    console: ConsoleApp, who: str = "support", kind: str = "retry_notices", **given: object
) -> int:
    """Start a job."""
    with console.engine.begin() as connection:
        now = DatabaseClock().now(connection)
        person = Person(who, "they restored <b>a backup</b>")
        return start_job(connection, kind, given, person=person, now=now).id


def test_the_list_says_what_each_does_newest_first(console: ConsoleApp):
    start(console, operator="acme", http_status=503, answer="player-77")
    start(console, kind="skip_notices", delivered=False, ids=[1, 2, 3])
    page = console.support.page("/jobs")

    assert [row[0] for row in page.rows()] == ["2", "1"]
    assert "Skips 3 chosen dead notices: the partner does not have them" in page.rows()[0][1]
    assert "all dead notices of acme, whose last answer contains “player-77”" in page.rows()[1][1]
    assert "<b>a backup" not in page.response.text
    assert [row[0] for row in console.support.page("/jobs", kind="skip_notices").rows()] == ["2"]
    assert "No job matches" in console.support.page("/jobs", state="failed").words
    assert console.support.get("/jobs", state="lost").status_code == 422


def test_pages_follow_each_other(console: ConsoleApp, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jobs, "PAGE", 2)
    for _ in range(3):
        start(console)
    first = console.viewer.page("/jobs")
    second = console.viewer.page(first.links()["Next »"])

    assert [[row[0] for row in page.rows()] for page in (first, second)] == [["3", "2"], ["1"]]
    assert "Next »" not in second.links()


def test_a_job_shows_all_of_it(console: ConsoleApp):
    job = start(console, kind="skip_notices", delivered=True, ids=[1, 2])
    with console.engine.begin() as connection:
        connection.execute(DONE, {"id": job})
    page = console.viewer.page(f"/jobs/{job}")

    assert (
        "Skips 2 chosen dead notices: the partner has them, so they count as delivered"
        in page.words
    )
    assert "done 42 of 42 dead notices" in page.words
    assert console.support.page(f"/jobs/{job}").rows()[0] == ["a rollback is never skipped", "12"]
    assert "0.7 a second" in page.words
    assert not page.tree.css("details.act")
    assert console.viewer.get("/jobs/999").status_code == 404
    assert console.viewer.get("/jobs/x").status_code == 422


def test_a_viewer_sees_nothing_that_may_name_a_player(console: ConsoleApp):
    start(console, answer="player-77", reason="player-77")
    with console.engine.begin() as connection:
        erasure = connection.execute(INSERT, {"kind": ERASURE}).scalar_one()
    pages = [console.viewer.page(path) for path in ("/jobs", "/jobs/1", f"/jobs/{erasure}")]

    assert not any("player-77" in page.response.text for page in pages)
    assert "Erases the data of a player of acme (erasure 4)" in pages[2].words
    assert "does the sweep" not in pages[1].words
    assert "carries jobs on: does it run?" in pages[2].words, "nothing was done for an hour"
    assert "player-77 asked" in console.support.page("/jobs").words


def test_support_stops_its_own_jobs_and_operations_any(console: ConsoleApp):
    own, other, third = start(console), start(console, "ann"), start(console, "ann")
    assert Page.of(console.viewer.post(f"/jobs/{own}/stop", {"reason": "no"})).status == 403
    assert console.support.act(f"/jobs/{other}/stop").status == 403
    assert not console.support.page(f"/jobs/{other}").tree.css("details.act")
    stopped = console.support.act(f"/jobs/{own}/stop", reason="wrong filter")
    console.operations.act(f"/jobs/{other}/stop")
    again = console.operations.act(f"/jobs/{other}/stop")

    assert "stopped by support: wrong filter" in stopped.words
    assert again.status == 409
    assert "has ended already" in again.words
    with console.engine.begin() as connection:
        states = [find_job(connection, job).state for job in (own, other, third)]
    assert states == ["stopped", "stopped", "waiting"]


def test_every_kind_has_its_sentence(console: ConsoleApp):
    with console.engine.begin() as connection:
        for kind in [*KINDS, "of_a_newer_release"]:
            job = find_job(connection, connection.execute(INSERT, {"kind": kind}).scalar_one())
            known = "does not know" not in describe_job(job)
            assert known is (kind in KINDS), kind
            assert "player" not in describe_job(job, with_texts=False) or kind == ERASURE


def test_a_job_says_its_times_as_all_pages_do_and_leads_to_what_is_left(console: ConsoleApp):
    job_id = start(console, operator="acme", until="2026-03-01T10:00:05.000000Z")
    page = console.support.page(f"/jobs/{job_id}")

    assert page.links()["What is dead now"] == "/notices?partner=acme"
    assert "2026-03-01 10:00:05 UTC" in page.text(".job-does .nowrap")
    assert page.tree.css("[data-live] details.act"), "the button leaves with the job's end"
