"""`GET /events`, `GET /events/{event_id}`, `GET /tickets/{ticket_id}`: what became of them."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from models.history import load_histories
from models.history.event_log import FOUND_MAX, SEARCHED_MAX
from models.operators.interventions import Person
from models.outbox.values import Attempt, Dead, RetryLater
from models.triage import drop_events
from models.vocabulary import Outcome
from tests.support.gateway_app import GatewayApp
from tests.support.records import Records
from tests.support.tombstones import leave_tombstone
from tests.support.triage_actions import TriageActions

SECOND = timedelta(seconds=1)

DROP = text("UPDATE ticket_event SET dropped_at = now() WHERE event_id = :event_id")

THEIR_TICKETS = text("""
    INSERT INTO ticket (operator, ticket_id, status)
    SELECT o.id, 'many' || n, 'open'
      FROM operator o, generate_series(1, :count) AS n WHERE o.code = :operator""")
THEIR_EVENTS = text("""
    INSERT INTO ticket_event (ticket, operator, event_id, action, order_time, received_at, outcome,
                              status_before, status_after, decided_at)
    SELECT t.id, o.id, '1', 'ticket_win', now(), now(), 'applied', 'open', 'open', now()
      FROM ticket t JOIN operator o ON o.id = t.operator
     WHERE o.code = :operator AND t.ticket_id LIKE 'many%'""")
OTHER_OPERATOR = text("""
    SELECT e.event_id FROM ticket_event e JOIN ticket t ON t.id = e.ticket
     WHERE e.operator IS DISTINCT FROM t.operator""")
WITHOUT_OPERATOR = text("UPDATE ticket_event SET operator = NULL WHERE event_id = '1'")


@pytest.fixture(scope="module")
def acme(built: GatewayApp) -> str:
    return built.operator()


@pytest.fixture(scope="module")
def key(built: GatewayApp, acme: str) -> str:
    return built.key(acme, read_only=True)


def ids(gateway_app: GatewayApp, key: str, **query: object) -> list[str]:
    answer = gateway_app.ask(key, "/events", **query)
    assert answer.status_code == 200
    return [event["event_id"] for event in answer.json()["events"]]


def test_an_event_is_told_with_its_end_and_its_ticket_s_closing_time(gateway_app, key, acme):
    ticket = gateway_app.name("ticket")
    gateway_app.harness.say("ticket_win", ticket, operator=acme, event_id="won-it")
    gateway_app.harness.deliver()

    (event,) = gateway_app.ask(key, "/events/won-it").json()["events"]

    assert (event["operator"], event["ticket_id"], event["outcome"]) == (acme, ticket, "applied")
    assert (event["reason"], event["ticket_status"]) == ("opened_implicitly", "resulted/won")
    due = datetime.fromisoformat(event["ticket_close_due_at"])
    assert due == gateway_app.harness.now + timedelta(hours=24)


def test_an_event_of_a_removed_ticket_is_told_as_rejected_and_the_ticket_as_removed(
    gateway_app, key, acme
):
    """Rule 29; to a key of another operator it is unknown."""
    ticket = gateway_app.name("ticket")
    why = leave_tombstone(gateway_app.harness.engine, acme, ticket)
    gateway_app.harness.say("ticket_win", ticket, operator=acme, event_id="too-late")

    (event,) = gateway_app.ask(key, "/events/too-late").json()["events"]
    response = gateway_app.ask(key, f"/tickets/{ticket}")
    other = gateway_app.key(gateway_app.operator(), read_only=True)
    foreign = gateway_app.ask(other, f"/tickets/{ticket}")

    assert (event["ticket_id"], event["outcome"]) == (ticket, "rejected")
    assert event["reason"] == "ticket_removed"
    assert (response.status_code, foreign.status_code) == (404, 404)
    assert why in response.text
    assert "removed" not in foreign.text


def test_an_id_that_was_used_on_several_tickets_answers_several(gateway_app, acme):
    """H12: an id counts per ticket."""
    other = gateway_app.operator()
    for operator in (acme, other):
        gateway_app.harness.say("ticket_win", "both", operator=operator, event_id="7")
    gateway_app.harness.publish(
        gateway_app.harness.raw(b'{"event_id": "7", "action": "ticket_win"}')
    )

    def operators_shown(*operators: str) -> list[str | None]:
        answer = gateway_app.ask(gateway_app.key(*operators), "/events/7")
        return [event["operator"] for event in answer.json()["events"]]

    assert operators_shown(acme) == [acme]
    assert operators_shown(acme, other) == [other, acme]
    assert operators_shown() == [other, acme, None]


def test_an_operator_or_a_ticket_narrows_what_an_id_finds(gateway_app, acme):
    other = gateway_app.operator()
    for operator in (acme, other):
        for ticket in ("caf\u00e9/1", "n2"):
            gateway_app.harness.say("ticket_win", ticket, operator=operator, event_id="narrow")
        gateway_app.harness.say("ticket_lose", "n2", operator=operator, event_id="narrow-raw")

    def tickets_shown(key: str, event_id: str, **query: str) -> list[tuple[str, str]]:
        answer = gateway_app.ask(key, f"/events/{event_id}", **query)
        if answer.status_code == 404:
            assert "visible to this key" in answer.json()["message"]
            return []
        assert answer.json()["more"] is False
        return [(event["operator"], event["ticket_id"]) for event in answer.json()["events"]]

    everything, bound = gateway_app.key(), gateway_app.key(acme)
    assert tickets_shown(everything, "narrow", ticket_id="n2") == [(other, "n2"), (acme, "n2")]
    assert tickets_shown(bound, "narrow", ticket_id="n2") == [(acme, "n2")]
    assert tickets_shown(bound, "narrow", ticket_id="cafe\u0301/1") == [(acme, "caf\u00e9/1")]
    assert len(tickets_shown(everything, "narrow", operator=other)) == 2
    assert tickets_shown(everything, "narrow", operator=other, ticket_id="n2") == [(other, "n2")]
    assert tickets_shown(bound, "narrow-raw", ticket_id="n2") == [(acme, "n2")]
    assert len(tickets_shown(everything, "narrow-raw", ticket_id="n2")) == 2
    assert tickets_shown(bound, "narrow", operator=other) == []  # not this key's
    assert tickets_shown(bound, "narrow", operator=other, ticket_id="n2") == []
    for nowhere in ("n3", "", "\0", "x" * 65):
        assert tickets_shown(bound, "narrow", ticket_id=nowhere) == []
        assert tickets_shown(bound, "narrow", operator=nowhere) == []


def test_an_event_is_found_by_its_id_however_many_tickets_of_others_have_it(gateway_app, acme):
    """Publishers may number 1, 2, 3 on each ticket.

    Events that were stored before they named their operator are searched up to a bound.
    """
    key, other = gateway_app.key(acme), gateway_app.operator()
    gateway_app.harness.say("ticket_win", "mine", operator=acme, event_id="1")
    gateway_app.harness.say("ticket_win", "theirs", operator=other, event_id="1")
    assert gateway_app.ask(key, "/events/1").json()["more"] is False
    with gateway_app.engine.begin() as connection:
        assert connection.execute(OTHER_OPERATOR).all() == [], "each event names its ticket's"
        numbers = {"operator": other, "count": SEARCHED_MAX}
        for statement in (THEIR_TICKETS, THEIR_EVENTS):
            connection.execute(statement, numbers)

    alone = gateway_app.ask(key, "/events/1").json()
    theirs = gateway_app.ask(gateway_app.key(other), "/events/1").json()
    with gateway_app.engine.begin() as connection:
        connection.execute(WITHOUT_OPERATOR)
    unsure = gateway_app.ask(key, "/events/1")
    sure = gateway_app.ask(key, "/events/1", ticket_id="mine").json()
    theirs_old = gateway_app.ask(gateway_app.key(other), "/events/1").json()

    assert ([event["ticket_id"] for event in alone["events"]], alone["more"]) == (["mine"], False)
    assert (len(theirs["events"]), theirs["more"]) == (FOUND_MAX, True)
    assert unsure.status_code == 404
    assert "add ?ticket_id=" in unsure.json()["message"]
    assert ([event["ticket_id"] for event in sure["events"]], sure["more"]) == (["mine"], False)
    assert theirs_old == theirs


@pytest.mark.parametrize("query", [{"ticketid": "T"}, {"ticketId": "T"}, {"Operator": "acme"}])
def test_a_misspelt_way_to_narrow_is_refused(gateway_app, key, query):
    assert gateway_app.ask(key, "/events/1", **query).status_code == 422


def test_an_event_that_is_not_known_is_404(gateway_app, key, acme):
    other = gateway_app.operator()
    gateway_app.harness.say("ticket_win", "T", operator=other, event_id="not-yours")

    for event_id in ("nobody-s", "not-yours", "%00", "x" * 65):
        answer = gateway_app.ask(key, f"/events/{event_id}")
        assert (answer.status_code, answer.json()["code"]) == (404, 404)
        assert "still be on the stream" in answer.json()["message"]


def test_what_did_not_go_through_is_listed_newest_first_in_pages(gateway_app):
    operator = gateway_app.operator()
    key = gateway_app.key(operator)
    fifth = f"{gateway_app.harness.now + timedelta(seconds=5):%Y-%m-%dT%H:%M:%SZ}"
    for number in range(7):  # 3 and 4 share a moment
        gateway_app.harness.wait(timedelta(seconds=0 if number == 4 else 1))
        action = "ticket_rollback" if number % 2 else "ticket_paid"
        gateway_app.harness.say(action, f"T{number}", operator=operator, event_id=f"p{number}")
    gateway_app.harness.wait(timedelta(seconds=1))
    gateway_app.harness.say("ticket_discard", "gone", operator=operator, event_id="first")
    gateway_app.harness.say("ticket_lose", "T", operator=operator, event_id="unread")
    gateway_app.harness.say("ticket_win", "gone", operator=operator, event_id="late")

    everything = ids(gateway_app, key)
    parked = [f"p{number}" for number in range(6, -1, -1)]
    assert everything[:2] == ["late", "unread"]  # at one moment: raw input comes last
    assert everything[2:] == parked
    assert ids(gateway_app, key, outcome="parked") == parked
    assert set(ids(gateway_app, key, outcome="rejected,superseded")) == {"late", "unread"}
    assert ids(gateway_app, key, since=fifth, outcome="parked") == ["p6", "p5"]

    paged: list[str] = []
    after: str | None = ""
    while after is not None:
        query = {"limit": 2, "after": after} if after else {"limit": 2}
        page = gateway_app.ask(key, "/events", **query).json()
        assert len(page["events"]) <= 2
        paged += [event["event_id"] for event in page["events"]]
        after = page["next"]
    assert paged == everything


def test_what_a_person_has_dealt_with_leaves_the_list(gateway_app, acme, key):
    gateway_app.harness.say(
        "ticket_rollback", gateway_app.name("ticket"), operator=acme, event_id="dealt-with"
    )
    assert "dealt-with" in ids(gateway_app, key)

    with gateway_app.engine.begin() as connection:
        connection.execute(DROP, {"event_id": "dealt-with"})

    assert "dealt-with" not in ids(gateway_app, key)
    assert gateway_app.ask(key, "/events/dealt-with").status_code == 200


def test_a_key_sees_what_concerns_its_operators_only(gateway_app, acme):
    stranger = gateway_app.key(gateway_app.operator())
    gateway_app.harness.say(
        "ticket_rollback", gateway_app.name("ticket"), operator=acme, event_id="acme-s"
    )
    gateway_app.harness.publish(gateway_app.harness.raw(b'{"event_id": "who-knows"}'))

    assert ids(gateway_app, stranger) == []
    assert {"acme-s", "who-knows"} <= set(ids(gateway_app, gateway_app.key()))


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ({"outcome": "applied"}, "outcome"),
        ({"since": "yesterday"}, "since"),
        ({"since": "2026-02-30T10:00:00Z"}, "since"),
        ({"after": "xyz"}, "after"),
        ({"after": "ü"}, "after"),
        ({"limit": "501"}, "limit"),
    ],
)
def test_a_list_that_cannot_be_is_422(gateway_app, key, query, where):
    answer = gateway_app.ask(key, "/events", **query)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["at"] == ["query", where]


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_the_calendar_s_ends_are_times_like_others(gateway_app, key, since):
    assert gateway_app.ask(key, "/events", since=since).status_code == 200


def test_a_ticket_s_whole_history_is_told_without_the_people_in_it(gateway_app, key, acme):
    ticket = gateway_app.name("ticket")
    gateway_app.harness.say("ticket_win", ticket, operator=acme, event_id="w")
    gateway_app.harness.deliver()
    due = gateway_app.harness.now + timedelta(hours=24)
    gateway_app.harness.say("ticket_win", "elsewhere", operator=gateway_app.operator())

    (history,) = gateway_app.ask(key, f"/tickets/{ticket}").json()["tickets"]

    assert f"closes at {due:%Y-%m-%dT%H:%M:%SZ}" in history["sentence"]
    assert (history["ticket"]["status"], history["ticket"]["close_delay"]) == ("resulted", "24h")
    assert [event["event_id"] for event in history["events"]] == ["w"]
    assert history["notices"][0]["attempts"][0]["http_status"] == 200
    assert "interventions" not in history


def test_no_publisher_reads_of_players_people_or_in_the_partner_s_words(gateway_app):
    """Whatever it asks for: the log's details are only for those who run the gateway."""
    operator = gateway_app.operator(protocol="seamless")
    ticket, harness = gateway_app.name("ticket"), gateway_app.harness
    game = {"price": 500, "currency": "EUR", "game": "g", "game_id": "1", "net_payout": 0}
    player = {"player_id": "MARKER-player", "email": "MARKER@example.com"}
    harness.deliver()  # what other tests of this gateway_app left
    harness.say("ticket_open", ticket, operator=operator, **game, **player)
    harness.say("ticket_lost", ticket, operator=operator, event_id="x1", **player)
    refused = "answered status.code 998 (bad request)"
    for verdict in (RetryLater(10 * SECOND), Dead(f"{refused}: MARKER")):
        (claim,) = harness.claim()
        attempt = Attempt(claim, verdict, SECOND, http_status=200, problem=refused)
        remarks = {"code": 998, "message": "MARKER"}
        harness.record_attempts(replace(attempt, answer='{"message":"MARKER"}', remarks=remarks))
        harness.wait(10 * SECOND)
    harness.say("ticket_void", ticket, operator=operator, event_id="x2", **game, **player)
    harness.say("ticket_win", ticket, operator=operator, event_id="x3", player_id="MARKER x")
    triage = TriageActions(harness, Records(gateway_app.engine))
    person = Person("MARKER", "for MARKER")
    with gateway_app.engine.begin() as connection:
        row = triage.records.ticket(ticket, operator=operator).id
        common: Any = {"now": harness.now, "window": SECOND, "person": person}
        drop_events(connection, row, ["x2"], outcome=Outcome.PARKED, **common)
    key = gateway_app.key(operator)

    paths = (f"/tickets/{ticket}", "/events", *(f"/events/x{number}" for number in (1, 2, 3)))
    read = {path: gateway_app.ask(key, path) for path in paths}
    (history,) = read[f"/tickets/{ticket}"].json()["tickets"]
    with gateway_app.engine.begin() as connection:
        (ours,) = load_histories(connection, ticket, operator=operator)

    assert {answer.status_code for answer in read.values()} == {200}
    assert [path for path, answer in read.items() if "MARKER" in answer.text] == []
    assert "MARKER" in str(ours)  # people of the gateway_app read all of it
    assert history["notices"][0]["reason"] == refused
    assert f"ticket_lost is dead ({refused})" in history["sentence"]
    assert read["/events/x2"].json()["events"][0]["message"] == "dropped by hand"
    assert history["events"][0]["data"]["price"] == 500
    assert "data.player_id: must be at most 255" in read["/events/x3"].text


def test_a_ticket_of_another_operator_or_of_nobody_is_404(gateway_app, key):
    other = gateway_app.operator()
    ticket = gateway_app.name("ticket")
    gateway_app.harness.say("ticket_win", ticket, operator=other)

    assert gateway_app.ask(key, f"/tickets/{ticket}").status_code == 404
    assert gateway_app.ask(gateway_app.key(), f"/tickets/{ticket}").status_code == 200
    assert gateway_app.ask(key, "/tickets/%00").status_code == 404


def test_a_ticket_that_is_not_there_yet_says_how_many_events_wait_for_it(gateway_app, key, acme):
    ticket = gateway_app.name("ticket")
    gateway_app.harness.say("ticket_rollback", ticket, operator=acme)

    answer = gateway_app.ask(key, f"/tickets/{ticket}")

    assert answer.status_code == 404
    assert "1 parked event waits" in answer.json()["message"]
