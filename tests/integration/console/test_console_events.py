"""The pages of events that did not go through: what they show to whom, and what can be done."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy import TextClause, text

from models.database.engine import open_engine
from models.platform.clock import DatabaseClock
from tests.support import databases
from tests.support.console_app import ConsoleApp, Page, console_app_on
from tests.support.harness import PARKING_WINDOW, SLIP, Harness
from tests.support.manual_clock import ManualClock
from tests.support.plain_settings import plain_settings
from worker.console.pages.events import PAGE

HOSTILE = "<script>alert(1)</script>\u202e\x1b[2J"
PLAYER = "player-4711"
IDS = "#list td[data-label=Event] a code"
TICKETS = "#list td[data-label=Ticket] a code"
WAS_DROPPED = text("SELECT dropped_at IS NOT NULL FROM ticket_event WHERE event_id = :id")
RAW_RESOLVED = text("SELECT dropped_at IS NOT NULL FROM rejected_input WHERE entry_id = :id")
OUTCOME = text("SELECT outcome FROM ticket_event WHERE event_id = :id")
KEPT = text("""
    SELECT who, why, did FROM intervention WHERE facts ->> 'event_id' = :id
        OR facts ->> 'entry_id' = :id ORDER BY id""")
JOBS = text("SELECT kind, who, why, arguments, expected FROM job ORDER BY id DESC LIMIT 1")
MANY = text("""
    INSERT INTO rejected_input (entry_id, raw, whole, reason, message, operator, received_at,
                                rejected_at)
    SELECT 'many-' || n, '', true, 'timed', 'too many', 'crowded', now(),
           CAST(:now AS timestamptz) - (n / 20) * interval '1 second'
      FROM generate_series(1, :count) AS n""")


@dataclass
class Bench:
    """A console, and a partner whose events go wrong."""

    console: ConsoleApp
    harness: Harness
    numbers: Iterator[int]

    def rejected(self, ticket: str) -> str:
        """Have an event of a ticket rejected; its id."""
        event_id = f"e{next(self.numbers)}"
        self.harness.say("ticket_open", ticket, **{**SLIP, "player_id": PLAYER})
        slip = {**SLIP, "player_id": PLAYER, "note": HOSTILE}
        ended = self.harness.say("ticket_create", ticket, event_id=event_id, **slip)
        assert ("ticket_create", "rejected") in ended
        return event_id

    def parked(self, ticket: str) -> str:
        """Have an event wait; its id."""
        event_id = f"e{next(self.numbers)}"
        ended = self.harness.say("ticket_rollback", ticket, event_id=event_id)
        assert ("ticket_rollback", "parked") in ended
        return event_id

    def superseded(self, ticket: str) -> str:
        """Have an event come that is older than the result; its id."""
        event_id = f"e{next(self.numbers)}"
        self.harness.say("ticket_win", ticket)
        older = self.harness.now - timedelta(hours=1)
        ended = self.harness.say("ticket_lost", ticket, event_id=event_id, at=older)
        assert ("ticket_lost", "superseded") in ended
        return event_id

    def raw(self, content: bytes) -> str:
        """Have input refused; its entry's id."""
        entry = self.harness.raw(content)
        self.harness.publish(entry)
        return entry.id

    def one(self, statement: TextClause, **parameters: str) -> Any:  # noqa: ANN401 - a row
        """Ask the database."""
        with self.harness.engine.connect() as connection:
            return connection.execute(statement, parameters).first()


@pytest.fixture(scope="module")
def bench(servers, template) -> Iterator[Bench]:
    url = databases.create(servers.database_url, "console_events", template=template)
    engine = open_engine(url, application_name="tests", pool_size=2)
    with engine.connect() as connection:
        now = DatabaseClock().now(connection)
    harness = Harness(engine, ManualClock(now - timedelta(minutes=1)))
    harness.add_operator()
    with console_app_on(plain_settings(database_url=url), engine) as console:
        yield Bench(console, harness, count(1001))
    engine.dispose()
    databases.drop(servers.database_url, "console_events")


def key(ticket: str, event_id: str, operator: str = "acme") -> dict[str, Any]:
    return {"operator": operator, "ticket": ticket, "event": event_id}


def state(page: Page) -> str:
    return page.hidden("expected")


def test_rejected_events_are_shown_by_reason_and_one_by_one_with_what_to_do(bench: Bench):
    event_id, entry = bench.rejected("A/1"), bench.raw(b"{nothing")

    page = bench.console.support.page("/events")

    assert page.text("h1") == "Events that did not go through"
    by_reason = {row[0]: row for row in page.rows("#reasons table")}
    assert {"already_known", "not_json"} <= by_reason.keys()
    assert "--announces-tickets" in by_reason["already_known"][4]
    assert "ticket_create of ticket A/1" in by_reason["already_known"][3]
    assert {entry, event_id} <= set(page.texts(IDS))
    assert page.links()["A/1"] == "/tickets/acme/A%2F1"


def test_tabs_lead_to_each_outcome_with_its_count(bench: Bench):
    parked, older = bench.parked("B1"), bench.superseded("B2")

    for outcome, event_id in (("parked", parked), ("superseded", older)):
        page = bench.console.viewer.page("/events", outcome=outcome)
        assert event_id in page.words
        assert page.text(".tabs a[aria-current]").startswith(outcome.capitalize())
        assert not page.text(".tabs a[aria-current]").endswith(" 0")
    assert "It waits until" in bench.console.viewer.page("/events", outcome="parked").words


def test_an_event_s_page_has_its_data_and_where_a_retry_would_lead(bench: Bench):
    event_id = bench.rejected("C1")

    page = bench.console.support.page("/events/one", **key("C1", event_id))

    assert PLAYER in page.words
    assert "What to do: set `--announces-tickets`" in page.words
    assert "Would a retry lead anywhere now? no: it would be rejected again" in page.words
    assert bench.one(KEPT, id=event_id) is None, "a rehearsal leaves no trace"
    assert page.tree.css("main script, main img") == []
    assert "\x1b" not in page.response.text
    assert "\u202e" not in page.response.text


@pytest.mark.parametrize(
    "content", [HOSTILE.encode(), b"\xff\x00" + HOSTILE.encode() * 1000, b'{"a": 1'], ids=len
)
def test_raw_input_is_shown_and_never_obeyed(bench: Bench, content: bytes):
    entry = bench.raw(content)

    page = bench.console.support.page("/events/one", entry=entry)

    assert page.tree.css("main script, main img") == []
    assert not any(hidden in page.response.text for hidden in "\x1b\u202e\x00")
    assert content.lstrip(b"\xff\x00")[:4].decode() in page.text("pre")


def test_a_viewer_sees_neither_players_nor_amounts_nor_what_may_name_them(bench: Bench):
    event_id = bench.rejected("D1")
    data = {"operator": "acme", "ticket_id": "D2", "stake": f"{PLAYER} of anna"}
    entry = bench.raw(json.dumps({"action": "ticket_open", "data": data}).encode())
    assert PLAYER in bench.console.support.page("/events/one", entry=entry).words

    pages = [
        bench.console.viewer.page("/events/one", **key("D1", event_id)),
        bench.console.viewer.page("/events/one", entry=entry),
        bench.console.viewer.page("/events", ticket="D2"),
        bench.console.viewer.page("/events"),
    ]

    for page in pages:
        assert PLAYER not in page.response.text
        assert page.tree.css("details.act") == []
    assert '"stake": "•••"' in pages[0].text("pre")
    assert ": 444" not in pages[0].text("pre")
    assert "hidden" in pages[1].words


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"ticket": "F/1"}, ("F/1",)),
        ({"partner": "acme", "action": "ticket_create", "since": "1h"}, ("F/1", "F2")),
        ({"partner": "nobody"}, ()),
        ({"until": "2020-01-01 10:00"}, ()),
        ({"because": "already_known", "ticket": "F2"}, ("F2",)),
        ({"because": "timed", "ticket": "F2"}, ()),
    ],
    ids=str,
)
def test_filters_narrow_list_and_overview(
    bench: Bench, query: dict[str, Any], expected: tuple[str, ...]
):
    if bench.one(OUTCOME, id="f-known") is None:
        bench.rejected("F/1")
        bench.rejected("F2")
        bench.harness.say("ticket_open", "F3", event_id="f-known", **SLIP)

    page = bench.console.viewer.page("/events", **query)

    assert set(page.texts(TICKETS)) & {"F/1", "F2", "F3"} == set(expected)
    if not expected:
        assert "No event matches this filter." in page.words
        assert page.tree.css("#reasons") == []


@pytest.mark.parametrize(
    "query",
    [
        {"outcome": "applied"},
        {"outcome": "odd"},
        {"action": "ticket_fly"},
        {"because": "<script>"},
        {"since": "yesterday"},
        {"ticket": "x" * 300},
        {"after": "nonsense"},
        {"after": "WyIyMDI2LTAxLTAxVDAwOjAwOjAwWiIsNSwxXQ"},
    ],
    ids=str,
)
def test_a_filter_that_cannot_be_read_says_what_is_wrong(bench: Bench, query: dict[str, Any]):
    page = bench.console.viewer.page("/events", status=422, **query)

    assert page.text("h1") == "This cannot be read"


def test_pages_join_without_gap_or_repeat_though_many_share_a_moment(bench: Bench):
    number = 2 * PAGE + 10
    with bench.harness.engine.begin() as connection:
        connection.execute(MANY, {"now": bench.harness.now - timedelta(days=2), "count": number})
    seen: list[str] = []
    path: str | None = "/events?partner=crowded"

    while path is not None:
        page = bench.console.viewer.page(path)
        seen += page.texts(IDS)
        assert page.tree.css_first("#list .message") is None
        following = page.tree.css_first("a[rel=next]")
        path = None if following is None else following.attributes["href"]

    assert len(seen) == number
    assert set(seen) == {f"many-{n}" for n in range(1, number + 1)}


def test_a_retry_says_what_it_did_and_who_did_it_is_kept(bench: Bench):
    event_id = bench.parked("G1")
    support = bench.console.support
    page = support.page("/events/one", **key("G1", event_id))

    fields = {**key("G1", event_id), "expected": state(page)}
    after = support.act("/events/one/retry", fields, reason="they asked")

    assert "is still parked until" in after.text(".message.warning")
    assert tuple(bench.one(KEPT, id=event_id)) == ("support", "they asked", "event_retried")


def test_a_superseded_one_retried_as_now_counts(bench: Bench):
    event_id = bench.superseded("G2")
    support = bench.console.support
    page = support.page("/events/one", **key("G2", event_id))
    assert page.hidden("as_now") == "1"

    fields = {**key("G2", event_id), "expected": state(page), "as_now": "1"}
    support.act("/events/one/retry", fields)

    assert bench.one(OUTCOME, id=event_id)[0] != "superseded"


def test_raw_input_is_retried_once_its_partner_is_there(bench: Bench):
    entry = bench.harness.event("ticket_win", "H1", event_id="h-win", operator="late")
    bench.harness.publish(entry)
    support = bench.console.support
    page = support.page("/events/one", entry=entry.id)
    assert "only after `slipway operators add`" in page.words
    refused = support.act("/events/one/retry", {"entry": entry.id, "expected": state(page)})
    assert (refused.status, "still" in refused.words) == (409, True)
    assert bench.one(RAW_RESOLVED, id=entry.id)[0] is False
    bench.harness.add_operator("late")

    done = support.act("/events/one/retry", {"entry": entry.id, "expected": state(page)})

    assert "is applied" in done.text(".message.good")
    assert bench.one(OUTCOME, id="h-win")[0] == "applied"
    assert bench.one(RAW_RESOLVED, id=entry.id)[0] is True
    assert "resolved" in done.words


def test_dropped_ones_leave_the_list_and_stay_readable(bench: Bench):
    event_id, entry = bench.rejected("I1"), bench.raw(b"[")
    support = bench.console.support
    dropped: list[dict[str, Any]] = [key("I1", event_id), {"entry": entry}]
    for fields in dropped:
        page = support.page("/events/one", **fields)
        after = support.act("/events/one/drop", {**fields, "expected": state(page)})
        assert "is dropped" in after.text(".message.good")
        assert after.tree.css("form[action$=drop]") == []

    words = support.page("/events").words
    assert event_id not in words
    assert entry not in words
    assert bench.one(WAS_DROPPED, id=event_id)[0] is True


@pytest.mark.parametrize("act", ["retry", "drop"])
def test_what_has_changed_meanwhile_is_said_and_nothing_is_done(bench: Bench, act: str):
    event_id = bench.rejected(f"J-{act}")
    fields = key(f"J-{act}", event_id)
    mine, other = bench.console.support, bench.console.operations
    seen = state(mine.page("/events/one", **fields))
    other.act("/events/one/drop", {**fields, "expected": seen}, reason="first")

    late = mine.act(f"/events/one/{act}", {**fields, "expected": seen}, reason="second")

    assert (late.status, late.text("h1")) == (409, "It has changed meanwhile")
    assert bench.one(KEPT, id=event_id)[1] == "first"
    with bench.harness.engine.connect() as connection:
        assert len(connection.execute(KEPT, {"id": event_id}).all()) == 1


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 422),
        ({"operator": "acme", "ticket": "T"}, 422),
        ({"operator": "acme", "ticket": "T", "event": "none"}, 404),
        ({"entry": "0-0"}, 404),
        ({"entry": HOSTILE}, 404),
    ],
    ids=str,
)
def test_an_address_that_names_nothing_says_so(bench: Bench, fields: dict[str, Any], status: int):
    page = bench.console.support.page("/events/one", status=status, **fields)
    acted = bench.console.support.act("/events/one/drop", fields)

    assert acted.status == status
    assert page.tree.css("main script") == []


def test_a_viewer_may_do_nothing(bench: Bench):
    event_id = bench.rejected("K1")
    viewer, fields = bench.console.viewer, key("K1", event_id)

    for path in ("/events/one/retry", "/events/one/drop", "/events/resolve"):
        assert viewer.act(path, {**fields, "act": "drop"}).status == 403
    assert viewer.page("/events/resolve", status=403, act="drop").status == 403
    assert bench.one(KEPT, id=event_id) is None


def test_all_of_a_reason_become_a_job_after_a_page_that_counts(bench: Bench):
    bench.rejected("L1")
    operations = bench.console.operations
    query: dict[str, Any] = {"because": "already_known", "ticket": "L1"}
    links = operations.page("/events", **query).links()
    ask = operations.page(links["Retry all that match…"])
    assert ask.text("h1") == "Retry 1 rejected event"
    before = bench.one(JOBS)

    names = ("act", "seen_at", "key", "outcome", "because", "ticket")
    fields = {name: ask.hidden(name) for name in names}
    response = operations.post("/events/resolve", {**fields, "reason": "set up now"})
    operations.post("/events/resolve", {**fields, "reason": "set up now"})

    job = bench.one(JOBS)
    assert before is None
    assert (job.kind, job.who, job.why, job.expected) == (
        *("retry_events", "operations", "set up now"),
        1,
    )
    chosen = ("outcome", "reason", "ticket_id", "window")
    assert {name: job.arguments[name] for name in chosen} == {
        "outcome": "rejected",
        "reason": "already_known",
        "ticket_id": "L1",
        "window": PARKING_WINDOW.total_seconds(),
    }
    assert response.history[0].headers["location"].startswith("/jobs/")
    with bench.harness.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM job")).scalar_one() == 1


def test_support_is_not_offered_what_needs_operations(bench: Bench):
    bench.rejected("M1")

    page = bench.console.support.page("/events")

    assert not [label for label in page.links() if label.startswith(("Retry all", "Drop all"))]
    assert "operations" in bench.console.support.page("/events/resolve", status=403).words


def test_a_form_without_its_fields_starts_no_job(bench: Bench):
    for fields in ({}, {"act": "drop"}, {"act": "odd"}, {"act": "drop", "seen_at": "x"}):
        assert bench.console.operations.act("/events/resolve", fields).status == 422
