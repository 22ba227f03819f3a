"""`slipway migrate --finalize`: until then all is stored as the release before reads it."""

import shutil
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg
import pytest
from sqlalchemy import Engine, make_url, text

from models.bet_engine.access import Caller
from models.bet_engine.tickets import list_tickets
from models.events import time_of_change
from models.events.kept_once import SINCE
from models.history.load import load_histories
from models.migrations.finalize import NEEDED, finalize, finalized
from models.migrations.revisions import VERSIONS, expected_revision
from models.migrations.runner import upgrade
from models.triage import list_unended
from models.triage.queries import find_events
from tests.support.erasing import PLAYER, advance, begin, held
from tests.support.harness import CLOSE_DELAY, OPERATOR, SLIP

HOUR = timedelta(hours=1)
EVENTS = text("SELECT event_id, data, left_out FROM ticket_event ORDER BY arrival")
NOT_FINALIZED = text("DELETE FROM finalized_upgrade")
KEY = {"operator": OPERATOR, "ticket_id": "T"}


def finalized_at(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return finalized(connection)


def stored(engine: Engine) -> dict[str, tuple[object, str | None]]:
    with engine.connect() as connection:
        return {row.event_id: (row.data, row.left_out) for row in connection.execute(EVENTS)}


def shown(engine: Engine, ticket: str = "T") -> dict[str, object]:
    """The data of each event of a ticket, as its history and a search by its id show it."""
    with engine.connect() as connection:
        (history,) = load_histories(connection, ticket)
        for event in history.events:
            (logged,) = find_events(connection, event.event_id, ticket_id=ticket)
            assert logged.data == event.data
        return {event.event_id: event.data for event in history.events}


@pytest.fixture
def upgraded(engine: Engine) -> Engine:
    """A database of an earlier release whose upgrade has not been finalized."""
    with engine.begin() as connection:
        connection.execute(NOT_FINALIZED)
    return engine


def test_a_new_installation_needs_no_finalizing(engine):
    assert finalized_at(engine) == expected_revision() >= NEEDED >= SINCE
    assert NEEDED >= time_of_change.SINCE


def changed(engine: Engine) -> datetime:
    """When the ticket changed last, as its history, its partner and the list of unended say it."""
    caller = Caller(operator=1, code=OPERATOR, protocol="pam", zone=ZoneInfo("UTC"))
    with engine.connect() as connection:
        (history,) = load_histories(connection, "T")
        (ticket,) = list_unended(connection, operator=OPERATOR, limit=1).lines
        (partners,) = list_tickets(connection, caller, limit=1)
    at = history.ticket.changed_at
    assert ticket.changed_at == at
    assert partners.updated == f"{at:%Y-%m-%dT%H:%M:%S.%f}"
    return at


def test_a_result_leaves_its_time_to_its_event_once_the_upgrade_is_finalized(
    harness, records, upgraded
):
    """Until then older processes read it from the ticket. All who ask get the same."""
    harness.say("ticket_open")
    harness.wait(HOUR)
    harness.say("ticket_win")
    first = harness.now
    assert records.ticket().changed_at == changed(upgraded) == first

    with upgraded.begin() as connection:
        finalize(connection, NEEDED)
    harness.deliver()
    harness.wait(HOUR)
    harness.say("ticket_rollback")
    harness.deliver()
    rolled_back = records.ticket().changed_at
    harness.wait(HOUR)
    harness.say("ticket_win")

    assert records.ticket().changed_at == rolled_back < harness.now
    assert changed(upgraded) == harness.now


def test_an_upgrade_that_was_finalized_before_leaves_a_result_its_time(harness, records, upgraded):
    """Processes of that time know what events leave out, and nothing of times."""
    with upgraded.begin() as connection:
        finalize(connection, SINCE)
    harness.say("ticket_open")
    harness.wait(HOUR)
    harness.say("ticket_win")

    assert records.ticket().changed_at == changed(upgraded) == harness.now


def test_one_that_an_earlier_release_made_waits_for_a_person(empty_database, slipway, tmp_path):
    for path in VERSIONS.glob("[0-9]*.py"):
        if path.name < NEEDED:
            shutil.copy(path, tmp_path)
    upgrade(empty_database, versions=(tmp_path,))
    slipway.export(database_url=empty_database)
    upgrade(empty_database)
    question = b"SELECT revision FROM finalized_upgrade"
    plain = make_url(empty_database).set(drivername="postgresql")
    with psycopg.connect(plain.render_as_string(hide_password=False)) as connection:
        assert connection.execute(question).fetchall() == []
        connection.rollback()

        assert slipway("migrate", "--finalize", "--yes").code == 0

        assert connection.execute(question).fetchall() == [(expected_revision(),)]


def test_until_then_events_are_whole_and_both_forms_answer_alike(
    upgraded, harness, slipway, database
):
    harness.say("ticket_open", event_id="open", **SLIP)
    harness.say("ticket_win", event_id="win")
    whole = stored(upgraded)
    assert whole == {"open": ({**KEY, **SLIP}, None), "win": (KEY, None)}
    slipway.export(database_url=database)

    ended = slipway("migrate", "--finalize", "--yes")

    assert ended.out == f"the upgrade to revision {expected_revision()} is finalized\n"
    harness.say("ticket_open", "U", event_id="open-u", **SLIP)
    harness.say("ticket_win", "U", event_id="win-u")
    assert stored(upgraded) == {**whole, "open-u": ({}, "details"), "win-u": ({}, "key")}
    assert shown(upgraded) == {"open": {**KEY, **SLIP}, "win": KEY}
    of_u = {**KEY, "ticket_id": "U"}
    assert shown(upgraded, "U") == {"open-u": {**of_u, **SLIP}, "win-u": of_u}
    for ticket, end in (("T", ""), ("U", "-u")):
        for action, name, data in (("ticket_open", "open", SLIP), ("ticket_win", "win", {})):
            again = harness.say(action, ticket, event_id=name + end, **data)
            other = harness.say(action, ticket, event_id=name + end, **{**data, "price": 1})
            assert (again, other) == ({(action, "duplicate"): 1}, {(action, "rejected"): 1})


def test_an_update_of_the_ticket_leaves_the_words_of_what_opened_it(harness, engine):
    harness.say("ticket_open", event_id="open", **SLIP, reason="as agreed")
    assert stored(engine)["open"] == ({"reason": "as agreed"}, "details")

    changed = {**SLIP, "price": 700}
    harness.say("ticket_update", event_id="update", **changed)

    data = {**SLIP, "reason": "as agreed"}
    assert stored(engine) == {"open": (data, "key"), "update": (changed, "key")}
    assert shown(engine) == {"open": {**KEY, **data}, "update": {**KEY, **changed}}
    again = harness.say("ticket_open", event_id="open", **data)
    other = harness.say("ticket_open", event_id="open", **{**data, "price": 700})
    assert (again, other) == ({("ticket_open", "duplicate"): 1}, {("ticket_open", "rejected"): 1})


def test_so_does_a_late_opening_that_adds_what_was_not_known(harness, engine):
    harness.say("ticket_open", event_id="open", price=500)
    harness.say("ticket_open", event_id="late", game="roulette", price=500)

    assert shown(engine) == {
        "open": {**KEY, "price": 500},
        "late": {**KEY, "price": 500, "game": "roulette"},
    }
    assert harness.say("ticket_open", event_id="open", price=500) == {
        ("ticket_open", "duplicate"): 1
    }


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_player_is_found_and_erased_whom_the_opening_names_in_a_field_of_its_own(
    harness, engine, records, is_whole
):
    """No index finds that, neither in the event nor in the ticket that keeps it for the event."""
    if is_whole:
        with engine.begin() as connection:
            connection.execute(NOT_FINALIZED)
    harness.say("ticket_open", event_id="open", nickname=PLAYER, price=500)
    assert (records.event("open").left_out is None) is is_whole
    harness.say("ticket_win")
    harness.deliver()
    harness.wait(CLOSE_DELAY)
    harness.close_due()
    harness.deliver()

    advance(harness, begin(harness))

    assert held(engine) == {}
    assert shown(engine)["open"] == {**KEY, "price": 500}


def test_what_may_be_decided_again_is_stored_whole(harness, engine, records):
    harness.say("ticket_rollback", event_id="parked", reason="too early")

    assert records.event("parked").outcome == "parked"
    assert stored(engine) == {"parked": ({**KEY, "reason": "too early"}, None)}


@pytest.mark.parametrize("answer", [b"n\n", b""])
def test_it_is_asked_for_and_says_what_is_not_possible_any_more(
    upgraded, slipway, database, answer
):
    slipway.export(database_url=database)

    ended = slipway("migrate", "--finalize", stdin=answer)

    assert ended.code == 1
    assert "cannot be rolled back" in ended.err
    assert "nothing was changed" in ended.err
    assert finalized_at(upgraded) is None
    assert slipway("migrate", "--finalize", stdin=b"y\n").code == 0
    assert "finalized already" in slipway("migrate", "--finalize", "--yes").out


def test_a_process_of_another_version_prevents_it(upgraded, slipway, database):
    slipway.export(database_url=database)
    plain = make_url(database).set(drivername="postgresql")
    with psycopg.connect(
        plain.render_as_string(hide_password=False), application_name="slipway intake 0.0.9"
    ):
        ended = slipway("migrate", "--finalize", "--yes")

    assert ended.code == 1
    assert "another version than" in ended.err
    assert "slipway intake 0.0.9" in ended.err
    assert finalized_at(upgraded) is None


def test_an_older_schema_is_migrated_first(upgraded, slipway, database):
    with upgraded.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0040'"))
    slipway.export(database_url=database)

    ended = slipway("migrate", "--finalize", "--yes")

    assert ended.code == 1
    assert "run `slipway migrate`" in ended.err
    assert finalized_at(upgraded) is None
