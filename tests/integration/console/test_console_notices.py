"""The pages of notices: what they list, and that dead ones are resolved as the person saw them."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from models.jobs import advance_jobs
from models.outbox.values import Attempt, Dead
from models.platform.clock import DatabaseClock
from models.triage import matching_notices, notice_lists
from tests.support.console_app import ConsoleApp, ConsoleClient, Page
from tests.support.harness import TOOK, Harness
from worker.console.pages import notices, resolve_notices

HOSTILE = "<script>alert(1)</script> \u202eevil \x1b[31m player-77"
NOTICES = text("SELECT id, ended FROM notice ORDER BY id")
DID = text("SELECT who, why, did FROM intervention WHERE did LIKE 'notice%' ORDER BY id")
JOBS = text("SELECT count(*) FROM job")


@pytest.fixture
def dead(harness: Harness, console: ConsoleApp) -> list[int]:
    """The ids of three dead notices, the oldest first, by the real clock."""
    catch_up(harness, timedelta(hours=-1))
    for number in range(3):
        harness.say("ticket_win", f"T/{number}")
        claim = harness.claim_one()
        answer = f"{HOSTILE} no {number}"
        attempt = Attempt(claim, Dead("410 Gone"), TOOK, http_status=410 + number, answer=answer)
        harness.record_attempts(attempt)
        harness.wait(timedelta(minutes=1))
    harness.say("ticket_rollback", "T/0")
    harness.say("ticket_lost", "waiting")
    return [row.id for row in rows(console, NOTICES) if row.ended == "dead"]


def rows(console: ConsoleApp, statement: Any) -> list[Any]:  # noqa: ANN401 - rows
    """Read rows."""
    with console.engine.begin() as connection:
        return list(connection.execute(statement))


def catch_up(harness: Harness, then: timedelta = timedelta()) -> None:
    """Set the harness's clock by the database's, which the console goes by."""
    with harness.engine.begin() as connection:
        harness.wait(DatabaseClock().now(connection) + then - harness.now)


def ask(client: ConsoleClient, *ids: int, act: str = "retry", **query: str) -> Page:
    """Open the page that asks, as the form of the list does."""
    path = "/notices/resolve?" + "&".join([f"act={act}", *(f"id={number}" for number in ids)])
    path += "".join(f"&{name}={given}" for name, given in query.items())
    return client.page(path)


def send(client: ConsoleClient, page: Page, **changed: Any) -> Page:  # noqa: ANN401 - fields
    """Send the form of the page that asks, with all its fields."""
    shown = page.one("form.resolve-form")
    fields: dict[str, Any] = {}
    for field in shown.css("input[type=hidden]"):
        name, given = field.attributes["name"] or "", field.attributes["value"] or ""
        fields[name] = [*fields.get(name, []), given]
    del fields["csrf"]
    return client.act("/notices/resolve", {**fields, **changed}, reason="agreed with the partner")


def test_the_list_shows_what_is_dead_newest_first(console, dead):
    page = console.support.page("/notices")

    assert page.texts("td[data-label=Ticket] .id a") == ["T/2", "T/1", "T/0"]
    assert page.rows()[2][-1] == "1", "the rollback waits behind it"
    assert f"/tickets/acme/T%2F2#notice-{dead[2]}" in page.response.text
    assert "<script>alert" not in page.response.text
    assert "\u202e" not in page.response.text
    assert "player-77" in page.words


@pytest.mark.parametrize(
    ("query", "tickets"),
    [
        ({"status": "411"}, ["T/1"]),
        ({"answer": "NO 2"}, ["T/2"]),
        ({"action": "ticket_lost"}, []),
        ({"partner": "acme", "since": "2h", "until": "59m30s"}, ["T/0"]),
        ({"outcome": "waiting"}, ["waiting"]),
        ({"outcome": "delivered"}, []),
        ({"outcome": "tried", "status": "410"}, ["T/0"]),
    ],
)
def test_the_filter_is_in_the_address(console, dead, query, tickets):
    page = Page.of(console.support.http.get("/notices", params=query))

    assert page.texts("td[data-label=Ticket] .id a") == tickets
    assert ("No notice" in page.words) is not bool(tickets)
    for name, given in query.items():
        assert given in (page.one(f".filter [name={name}]").html or "")


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ({"status": "lots"}, 422, "no HTTP status"),
        ({"since": "yesterday"}, 422, "no time"),
        ({"outcome": "lost"}, 422, "none of dead"),
        ({"answer": "x" * 300}, 422, "the most is"),
        ({"partner": "nobody"}, 404, "no operator"),
        ({"after": "abc"}, 422, "beginning of the list"),
    ],
)
def test_a_filter_that_cannot_be_read_is_no_empty_list(console, dead, query, status, words):
    page = Page.of(console.support.http.get("/notices", params=query))

    assert page.status == status
    assert words in page.words
    assert not page.tree.css("table, .empty")


def test_pages_follow_each_other_and_an_early_end_is_said(console, dead, monkeypatch):
    monkeypatch.setattr(notices, "PAGE", 2)
    first = console.support.page("/notices")
    second = console.support.page(first.links()["Next »"])
    assert [len(first.rows()), len(second.rows())] == [2, 1]
    assert "Next »" not in second.links()

    monkeypatch.setattr(notices, "PAGE", 1)
    monkeypatch.setattr(notice_lists, "EXAMINED_BY_ANSWER_MAX", 2)
    early = console.support.page("/notices", answer="no 0")
    assert "2 notices were examined" in early.words
    assert not early.tree.css(".empty")
    assert "T/0" in console.support.page(early.links()["Continue »"]).words


def test_a_viewer_sees_no_answer_and_cannot_look_for_one(console, dead):
    page = console.viewer.page("/notices")

    assert len(page.rows()) == 3
    assert "player-77" not in page.response.text
    assert not page.tree.css("input[type=checkbox], [name=answer]")
    assert console.viewer.get("/notices", answer="player-77").status_code == 403
    assert console.viewer.get("/notices/resolve", id=dead[0]).status_code == 403
    fields = {"act": "retry", "id": str(dead[0]), "seen_at": "2026-01-01T00:00:00Z"}
    assert console.viewer.act("/notices/resolve", fields).status == 403
    assert len(rows(console, DID)) == 0


def test_ticked_ones_are_retried_at_once_under_the_persons_name(console, dead):
    form = ask(console.support, dead[0], dead[2])
    assert "Retry 2 dead notices" in form.text("h1")
    done = send(console.support, form)

    assert done.response.url.path == "/notices"
    assert "2 notices are due again now." in done.words
    assert [row.ended for row in rows(console, NOTICES)][:3] == [None, "dead", None]
    assert [tuple(row) for row in rows(console, DID)] == [
        ("support", "agreed with the partner", "notice_retried")
    ] * 2


def test_a_skip_needs_its_words_and_says_what_is_not_possible(console, dead, harness):
    form = ask(console.support, *dead[:2], act="skip")
    assert send(console.support, form).status == 422
    assert [row.ended for row in rows(console, NOTICES)][:2] == ["dead", "dead"]

    done = send(console.support, form, way="not_delivered")
    assert "2 notices were skipped." in done.words
    assert [row.ended for row in rows(console, NOTICES)][:2] == ["skipped", "skipped"]


def test_what_has_changed_meanwhile_is_said_and_left(console, dead, harness):
    first, second = ask(console.support, dead[0]), ask(console.operations, dead[0], dead[1])
    send(console.support, first)
    catch_up(harness, timedelta(minutes=1))
    harness.deliver(Dead("410 Gone"))  # it has died again
    done = send(console.operations, second)

    assert "1 notice is due again now." in done.words
    assert "1 notice left as it is" in done.words
    assert [row.ended for row in rows(console, NOTICES)][:2] == ["dead", None]


def test_all_that_match_are_counted_first_and_then_a_job(console, dead, harness):
    form = ask(console.operations, all="1", status="411")
    assert "Retry 1 dead notice" in form.text("h1")
    harness.say("ticket_win", "late")
    catch_up(harness)
    harness.deliver(Dead("410 Gone"))

    job = send(console.operations, form, pace="5")
    again = send(console.operations, form, pace="5")

    assert job.response.url.path == again.response.url.path, "sent twice, it is one job"
    assert "with status 411" in job.words
    assert "5 a second at most" in job.words
    with console.engine.begin() as connection:
        now = DatabaseClock().now(connection)
        advanced = advance_jobs(connection, now=now, limit=10)
    assert advanced is not None
    assert advanced.handled == 1, advanced
    assert [row.ended for row in rows(console, NOTICES)][:3] == ["dead", None, "dead"]
    finished = console.viewer.page(job.response.url.path)
    assert "done 1 of 1 dead notices" in finished.words


def test_support_may_resolve_what_is_ticked_alone(console, dead):
    form = ask(console.operations, all="1")
    assert "every dead notice of every partner" in form.words
    assert "Retry all that match…" in console.operations.page("/notices").links()
    assert "Retry all that match…" not in console.support.page("/notices").links()

    assert send(console.support, form).status == 403
    assert rows(console, JOBS)[0][0] == 0


def test_a_count_that_was_bounded_says_so(console, dead, monkeypatch):
    monkeypatch.setattr(matching_notices, "COUNT_EXAMINED_MAX", 2)
    page = ask(console.operations, all="1", status="599")

    assert page.text("h1") == "Retry the dead notices that match"
    assert "the job examines all the others too" in page.words
    assert send(console.operations, page).response.url.path.startswith("/jobs/")


def test_many_ticked_ones_are_a_job(console, dead, monkeypatch):
    monkeypatch.setattr(resolve_notices, "AT_ONCE_MAX", 2)
    done = send(console.support, ask(console.support, *dead))

    assert done.response.url.path.startswith("/jobs/")
    assert "Retries 3 chosen dead notices: each is sent again" in done.words


@pytest.mark.parametrize("ids", [(), ("x",), ("9" * 30,), ("-1",)])
def test_a_choice_that_cannot_be_read_does_nothing(console, dead, ids):
    page = Page.of(console.support.http.get("/notices/resolve", params={"id": list(ids)}))

    assert page.status == 422
    assert "Nothing was done" in page.words
