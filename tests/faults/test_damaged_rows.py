"""One row that cannot be decided stops neither the sweep nor a list nor its neighbours."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from models.bet_engine.access import Caller
from models.bet_engine.tickets import list_tickets
from tests.faults.damaged_rows import NO_FACTS
from tests.support.harness import OPERATOR, PARKING_WINDOW, Harness
from tests.support.records import Records

WALLET = "wallet"
SLIP = {
    "player_id": "player",
    "price": 500,
    "currency": "EUR",
    "game": "keno",
    "game_id": "keno-1",
}
DAMAGE = text("UPDATE ticket SET details = CAST(:document AS jsonb) WHERE ticket_id = :ticket_id")
OPERATOR_ID = text("SELECT id FROM operator WHERE code = :code")


@pytest.fixture
def records(engine) -> Records:
    return Records(engine)


@pytest.fixture
def harness(engine, clock) -> Harness:
    """A harness with a PAM operator and a wallet, whose calls are built from the ticket's facts."""
    made = Harness(engine, clock)
    made.add_operator()
    made.add_operator(WALLET, protocol="seamless", announces_tickets=True)
    return made


def damaged(harness: Harness, *, document: str, ticket_id: str = "damaged") -> None:
    """An open ticket of the wallet's, of which nothing is known any more."""
    harness.say("ticket_open", ticket_id, operator=WALLET, sequence=1, **SLIP)
    with harness.engine.begin() as connection:
        row = {"document": document, "ticket_id": ticket_id}
        assert connection.execute(DAMAGE, row).rowcount == 1


@pytest.mark.parametrize("document", NO_FACTS)
def test_a_window_that_cannot_be_ended_stops_no_other(harness, records, document):
    """Rule 8: what waits is decided once more when its window is over, or given up."""
    damaged(harness, document=document)
    harness.say("ticket_lost", "damaged", operator=WALLET, sequence=3, event_id="lost")
    harness.say("ticket_win", "well")
    harness.say("ticket_lost", "well")
    harness.wait(PARKING_WINDOW)

    ended = [harness.end_windows(), harness.end_windows()]

    assert ended == [2, 0]
    given_up = records.event("lost", "damaged", operator=WALLET)
    assert (given_up.outcome, given_up.reason) == ("rejected", "missing_fields")
    assert "data.player_id" in given_up.message
    assert records.outcomes("well")[1] == ("ticket_lost", "rejected")
    assert records.ticket("damaged", operator=WALLET).parked == 0
    records.check()


def test_an_event_that_cannot_be_sent_is_rejected_and_its_neighbours_go_through(harness, records):
    damaged(harness, document="[]")
    hopeless = harness.event("ticket_lost", "damaged", operator=WALLET, event_id="lost")

    harness.publish(
        harness.event("ticket_win", "before"), hopeless, harness.event("ticket_win", "after")
    )

    rejected = records.event("lost", "damaged", operator=WALLET)
    assert (rejected.outcome, rejected.reason) == ("rejected", "missing_fields")
    assert [records.standing(name) for name in ("before", "after")] == ["resulted/won"] * 2


@pytest.mark.parametrize("document", NO_FACTS)
def test_an_operator_s_tickets_are_listed_although_one_is_damaged(harness, document):
    harness.say("ticket_open", "well", ticket_code="WELL")
    harness.say("ticket_open", "damaged")
    with harness.engine.begin() as connection:
        connection.execute(DAMAGE, {"document": document, "ticket_id": "damaged"})
        id_ = connection.execute(OPERATOR_ID, {"code": OPERATOR}).scalar_one()
        caller = Caller(operator=id_, code=OPERATOR, protocol="pam", zone=ZoneInfo("UTC"))

        listed = list_tickets(connection, caller, limit=10)

    assert [(notice.id, notice.code, notice.price) for notice in listed] == [
        ("damaged", None, None),
        ("well", "WELL", None),
    ]


def test_an_event_damaged_in_the_log_holds_up_no_other_of_its_ticket(harness, records):
    harness.say("ticket_win", "T")
    harness.say("ticket_lost", "T", event_id="lost")
    with harness.engine.begin() as connection:
        connection.execute(text("UPDATE ticket_event SET data = '[1]' WHERE event_id = 'lost'"))
    harness.wait(timedelta(seconds=1))

    harness.say("ticket_rollback", "T")

    assert records.standing("T") == "open/pending"
    lost = records.event("lost", "T")
    assert (lost.outcome, lost.reason) == ("rejected", "poison")
    assert lost.message == "data in the log is an array, not an object"
    assert lost.data == [1]
    records.check()
