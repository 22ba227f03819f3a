"""The page of a ticket: what it says, what of it is masked, and the acts."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, Row, text

from models.history import load_histories
from models.history.load import FACTS_MAX
from models.history.pulse import read_ticket_pulse
from models.history.request import find_attempt
from models.outbox.values import Attempt, Claim, Dead, RetryLater
from models.platform.clock import DatabaseClock
from models.vocabulary import NoticeEnd
from tests.support.console_app import ConsoleApp, Page
from tests.support.harness import TOOK, Harness
from tests.support.manual_clock import ManualClock
from tests.support.many_tickets import gather
from tests.support.plans import plans_of
from tests.support.records import Records
from tests.support.tombstones import leave_tombstone
from worker.console.display.timeline_rows import FIRST, LAST, MOMENTS_MAX

HOSTILE = "<script>alert(1)</script>\u202egpj.exe\x1b[31m" + "x" * 3000
PLAYER = "player-4711"
FACTS: dict[str, Any] = {
    "player_id": PLAYER,
    "ticket_code": "C-7",
    "price": 123_450,
    "currency": "EUR",
}
INTERVENTIONS = text("SELECT who, why, did, facts FROM intervention WHERE ticket IS NOT NULL")
NOTICES = text("SELECT id, action, ended, repeat FROM notice ORDER BY number")
PATH = "/tickets/acme/T"
ENTRY_ID = re.compile(r"\b[0-9]{13}-[0-9]+\b")


@pytest.fixture
def at_work(engine: Engine, records: Records) -> Harness:
    """A harness whose time began a day ago by the clock of the console."""
    del records  # checked at the end
    with engine.connect() as connection:
        now = DatabaseClock().now(connection)
    harness = Harness(engine, ManualClock(now - timedelta(days=1)))
    harness.add_operator()
    return harness


@pytest.fixture
def dead(at_work: Harness) -> Harness:
    """The ticket T, whose win has been refused after a retry: its answers are hostile."""
    at_work.say("ticket_open", event_id="one", **FACTS)
    at_work.say("ticket_win", event_id="two", net_payout=777_00)
    at_work.record_attempts(
        Attempt(at_work.claim_one(), RetryLater(timedelta(seconds=1)), TOOK, 503, answer=HOSTILE)
    )
    at_work.wait(timedelta(seconds=2))
    at_work.record_attempts(
        Attempt(
            at_work.claim_one(),
            Dead("answered 410"),
            TOOK,
            410,
            problem="answered 410",
            answer=f'{{"player_id":"{PLAYER}","balance":98765}}',
        )
    )
    return at_work


def interventions(engine: Engine) -> list[Row[Any]]:
    with engine.connect() as connection:
        return list(connection.execute(INTERVENTIONS))


def notices(engine: Engine) -> list[Row[Any]]:
    with engine.connect() as connection:
        return list(connection.execute(NOTICES))


def test_the_page_says_why_what_happened_and_where_it_stands(dead: Harness, console: ConsoleApp):
    page = console.support.page(PATH)

    assert page.text("h1") == "Ticket T"
    assert "ticket_win is dead (answered 410): a person must retry or skip it" in page.text(".why")
    assert page.text(".state.present text") == "resulted"
    assert page.text("svg title") == (
        "The ticket is resulted. It went from absent to open, open to resulted."
    )
    rows = page.rows("#timeline table")
    assert [row[1] for row in rows if len(row) > 1] == [
        "event",
        "event",
        "notice",
        "attempt",
        "attempt",
    ]
    assert "1,234.50 EUR" in page.text("#facts")
    assert PLAYER in page.text("#facts")
    assert "<script>alert" not in page.response.text
    assert "\u202e" not in page.response.text
    del dead


def act(
    console: ConsoleApp, name: str, fields: dict[str, Any], *, seen: Page | None = None
) -> Page:
    """Send the form of an act as the page that was *seen* has it, or the present one."""
    page = seen or console.support.page(PATH)
    form = next(
        form
        for form in page.tree.css("form.act-form")
        if (form.attributes["action"] or "").endswith(f"/{name}")
    )
    given = {
        field.attributes["name"] or "": field.attributes["value"] or ""
        for field in form.css("input[type=hidden]")
        if field.attributes["name"] != "resolution"
    }
    return console.support.act(f"{PATH}/{name}", given | fields)


def test_a_viewer_sees_no_player_no_amount_and_no_foreign_text(dead: Harness, console: ConsoleApp):
    dead.say("ticket_paid", event_id="bad", player_id=PLAYER, price=424_242)
    dead.publish(dead.event("ticket_lose", event_id="worse", price=313_131, player_id=PLAYER))
    dead.hold()
    (notice,) = notices(console.engine)
    pages = [PATH, f"{PATH}/attempts/{notice.id}/1", f"{PATH}/attempts/{notice.id}/2"]

    for path in pages:
        # An entry's id is a time in milliseconds, in which any digits may stand.
        shown = ENTRY_ID.sub("", console.viewer.page(path).response.text)
        for secret in (PLAYER, "123450", "1,234.50", "777", "98765", "4242", "3131", "alert(1)"):
            assert secret not in shown, (path, secret)
        assert "curl" not in shown
        assert "act-form" not in shown
    page = console.viewer.page(PATH)
    assert "price •••" in page.text("#timeline")
    assert "Player•••" in page.text("#facts")
    assert "Price•••" in page.text("#facts")
    assert "held the ticket" in page.text("#timeline")


@pytest.mark.parametrize("name", ["hold", "release", "resolve", "send-again", "publish"])
def test_a_viewer_may_do_nothing(dead: Harness, console: ConsoleApp, name: str):
    fields = {
        "notice": notices(console.engine)[0].id,
        "resolution": "retry",
        "action": "ticket_win",
    }

    assert console.viewer.act(f"{PATH}/{name}", fields).status == 403
    assert interventions(console.engine) == []
    del dead


def test_an_attempt_is_the_exact_request_beside_the_whole_answer(
    dead: Harness, console: ConsoleApp
):
    (notice,) = notices(console.engine)
    page = console.support.page(f"{PATH}/attempts/{notice.id}/1")

    assert "POST https://partner.example/hook" in page.words
    assert "signature: (signature)" in page.words
    assert '{"action":"ticket_win","data":{"operator":"acme","ticket_id":"T"}}' in page.words
    assert "curl --include --request POST" in page.words
    assert "<script>alert(1)" in page.words, "as text"
    assert "<script>alert" not in page.response.text
    assert "x" * 3000 in page.response.text
    assert {"\u202e", "\x1b"}.isdisjoint(page.response.text)
    assert page.links()["Attempt after »"] == f"{PATH}/attempts/{notice.id}/2"
    console.support.page(f"{PATH}/attempts/{notice.id}/9", status=404)
    console.support.page(f"/tickets/acme/other/attempts/{notice.id}/1", status=404)
    console.support.page(f"{PATH}/attempts/{2**70}/1", status=422)
    del dead


def test_of_two_people_who_act_on_one_notice_the_second_is_told(dead: Harness, console: ConsoleApp):
    seen = console.support.page(PATH)

    first = act(console, "resolve", {"resolution": "retry"}, seen=seen)
    assert first.text(".message.good") == "Ticket_win of ticket T of acme is due."
    second = act(console, "resolve", {"resolution": "skip_not_delivered"}, seen=seen)

    assert second.status == 409
    assert "was dead since" in second.words
    assert "now it is not delivered yet" in second.words
    assert [(row.who, row.did) for row in interventions(console.engine)] == [
        ("support", "notice_retried")
    ]
    dead.wait(timedelta(hours=25))  # the console's retry is due by its own clock
    dead.deliver(Dead("answered 410"))
    third = act(console, "resolve", {"resolution": "skip_not_delivered"}, seen=seen)
    assert third.status == 409, "it has died again: what the person saw was another death"
    assert notices(console.engine)[0].ended == NoticeEnd.DEAD


def test_a_dead_notice_is_skipped_only_with_one_of_the_two_words(
    dead: Harness, console: ConsoleApp
):
    assert act(console, "resolve", {}).status == 422
    assert notices(console.engine)[0].ended == NoticeEnd.DEAD

    page = act(console, "resolve", {"resolution": "skip_not_delivered"})

    assert "is skipped" in page.text(".message.good")
    assert notices(console.engine)[0].ended == NoticeEnd.SKIPPED
    assert "set by a person; it was dead: answered 410" in page.text("#timeline")
    assert "was skipped by hand" in page.text(".why")
    del dead


def test_who_is_refused_goes_back_to_the_page_of_the_form(dead: Harness, console: ConsoleApp):
    base = str(console.support.http.base_url).rstrip("/")

    refused = Page.of(console.support.post(f"{PATH}/resolve", {}, page=PATH))
    elsewhere = Page.of(console.support.post(f"{PATH}/resolve", {}, page=".invalid/"))

    assert (refused.status, elsewhere.status) == (422, 422)
    assert refused.links()["Back to the page"] == f"{base}{PATH}"
    assert "Back to the page" not in elsewhere.links(), "no address of another site is shown"
    del dead


def test_the_page_leads_to_what_the_partner_said_and_to_a_dead_notice(
    dead: Harness, console: ConsoleApp
):
    [notice] = notices(console.engine)

    page, seen_by_viewer = console.support.page(PATH), console.viewer.page(PATH)

    assert page.links()["What the partner said, and what it was sent"] == (
        f"{PATH}/attempts/{notice.id}/2"
    )
    assert len(page.tree.css(f".dead-notice#notice-{notice.id}")) == 1
    assert len(page.tree.css(f"#notice-{notice.id}")) == 1, "an id is there once"
    assert len(seen_by_viewer.tree.css(f"tr#notice-{notice.id}")) == 1
    event = page.one("#timeline td[data-label=Which] a").attributes["href"]
    assert "ticket_" in console.support.page(event or "").words
    del dead


def test_a_ticket_is_held_and_released_unless_it_has_changed(dead: Harness, console: ConsoleApp):
    seen = console.support.page(PATH)

    assert "is on hold: nothing is sent" in act(console, "hold", {}).text(".message.good")
    stale = act(console, "hold", {}, seen=seen)
    assert (stale.status, "now it is" in stale.words) == (409, True)
    assert "is released" in act(console, "release", {}).text(".message.good")
    assert [row.did for row in interventions(console.engine)] == ["ticket_held", "ticket_released"]
    without = console.support.act(f"{PATH}/hold", {})
    assert without.status == 422, "a form that does not say what the page showed"
    del dead


def test_it_is_sent_again_now_or_by_a_job(at_work: Harness, console: ConsoleApp):
    at_work.say("ticket_win")
    at_work.deliver()
    (first,) = notices(console.engine)

    page = act(console, "send-again", {"notice": first.id})
    assert "is sent again, in this order: ticket_win (number 1)." in page.text(".message.good")
    assert "repeat" in page.texts("#timeline .badge")
    assert [(row.action, row.repeat) for row in notices(console.engine)] == [
        ("ticket_win", 0),
        ("ticket_win", 1),
    ]

    waits = act(console, "send-again", {"notice": first.id})
    assert "/jobs/" in str(waits.response.url)
    assert len(notices(console.engine)) == 2
    at_work.say("ticket_win", "other")
    with console.engine.connect() as connection:
        other = connection.execute(text("SELECT max(id) FROM notice")).scalar_one()
    assert act(console, "send-again", {"notice": other}).status == 409, "of another ticket"


def test_a_rollback_is_published_by_hand(at_work: Harness, console: ConsoleApp, records: Records):
    at_work.say("ticket_open", **FACTS)
    at_work.say("ticket_win")
    seen = console.support.page(PATH)

    void = act(console, "publish", {"action": "ticket_void", "correction": "1"}, seen=seen)
    assert (void.status, "needs data.price, data.stake" in void.words) == (409, True)
    assert act(console, "publish", {"action": ""}, seen=seen).status == 422
    wrong = act(console, "publish", {"action": "ticket_lost", "net_payout": "12,5"}, seen=seen)
    assert (wrong.status, "net_payout: must be a whole number" in wrong.words) == (422, True)
    assert interventions(console.engine) == []

    page = act(console, "publish", {"action": "ticket_rollback"}, seen=seen)
    assert "the ticket went from resulted/won to open" in page.text(".message.good")
    assert act(console, "publish", {"action": "ticket_rollback"}, seen=seen).status == 409
    (kept,) = interventions(console.engine)
    assert (kept.who, kept.why, kept.did) == ("support", "a test", "event_published")
    assert records.event(kept.facts["event_id"]).data["published_by"] == "support"
    assert page.text(".state.present text") == "open"

    parked = act(console, "publish", {"action": "ticket_rollback"})
    assert "does not fit yet and waits" in parked.text(".message.warning")


def test_a_history_that_is_cut_says_so_and_goes_on_with_what_came_before(
    at_work: Harness, console: ConsoleApp
):
    at_work.say("ticket_open", event_id="the-first")
    at_work.wait(timedelta(seconds=1))
    at_work.publish(*(at_work.event("ticket_paid") for _ in range(FACTS_MAX)))

    page = console.support.page(PATH)
    assert f"only the newest {FACTS_MAX} are shown" in page.text("#timeline .message")
    assert "the-first" not in page.text("#timeline")
    assert page.text("#timeline-middle summary") == f"{FACTS_MAX - FIRST - LAST} moments in between"
    earlier = console.support.page(page.links()["Show what happened earlier"])
    assert "the-first" in earlier.text("#timeline")
    assert "open: no result has come yet" in earlier.text(".why").lower()


def test_a_long_history_is_shown_in_parts_that_leave_nothing_out(
    at_work: Harness, console: ConsoleApp
):
    for number in range(MOMENTS_MAX + LAST):
        at_work.say("ticket_open" if number == 0 else "ticket_paid", event_id=f"event-{number}")
        at_work.wait(timedelta(seconds=1))

    newest = console.support.page(PATH)
    earlier = console.support.page(newest.links()["Show what happened earlier"])

    assert "Only the newest of it is shown here" in newest.text("#timeline .message")
    parts = [set(re.findall(r"event-\d+", page.text("#timeline"))) for page in (newest, earlier)]
    assert max(map(len, parts)) <= MOMENTS_MAX
    assert len(parts[0] | parts[1]) == MOMENTS_MAX + LAST


def test_an_address_of_nothing_is_no_empty_page(at_work: Harness, console: ConsoleApp):
    at_work.say("ticket_open", "T/1 ?#", event_id="one")

    assert console.viewer.page("/tickets/acme/none", status=404).text("h1") == "Not found"
    console.viewer.page("/tickets/nobody/T", status=404)
    why = leave_tombstone(at_work.engine, "acme", "gone")
    gone = console.viewer.page("/tickets/acme/gone", status=404).text("main")
    assert f"{why[:1].upper()}{why[1:]}" in gone
    at_work.say("ticket_open")
    console.viewer.page(PATH, status=422, before="yesterday")
    assert "Nothing is known of this time" in console.viewer.page(
        PATH, before="2020-01-01T00:00:00Z"
    ).text("#timeline")


def test_the_pulse_changes_with_the_history(at_work: Harness, engine: Engine):
    def pulse() -> tuple[Any, ...]:
        with engine.connect() as connection:
            return read_ticket_pulse(connection, "acme", "T")

    pulses = [pulse()]
    claims: list[Claim] = []
    steps: list[Callable[[], object]] = [
        lambda: at_work.say("ticket_win", event_id="one"),
        lambda: at_work.say("ticket_win", event_id="one"),
        lambda: claims.append(at_work.claim_one()),
        lambda: at_work.record(claims[0], RetryLater(timedelta(seconds=1))),
        at_work.hold,
        at_work.release_ticket,
        at_work.disable,
    ]
    for step in steps:
        step()
        pulses.append(pulse())
    assert len(set(map(repr, pulses))) == len(pulses)


def test_its_statements_read_a_ticket_and_no_table(engine: Engine, at_work: Harness):
    at_work.add_operator("healthy")
    at_work.say("ticket_win", "of-its-own")
    at_work.deliver(RetryLater(timedelta(seconds=1)))
    with engine.begin() as connection:
        gather(connection, now=at_work.now)
        connection.execute(text("ANALYZE"))
        (notice,) = connection.execute(text("SELECT notice FROM delivery_attempt")).scalars()
        plans = plans_of(
            connection,
            lambda: (
                load_histories(connection, "T2000", operator="acme", before=at_work.now),
                read_ticket_pulse(connection, "acme", "T2000"),
                find_attempt(connection, notice, 1),
            ),
        )

    big = {"ticket", "ticket_event", "notice"}
    assert plans.whole_tables.isdisjoint(big)
    assert all(plans.rows[table] < 100 for table in big)
