"""One row that nobody can decide on stops neither the sweep nor a list nor its neighbours."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from models.bet_engine.access import Caller
from models.bet_engine.tickets import list_tickets
from tests.faults.damaged_rows import NO_FACTS
from tests.support.books import Books
from tests.support.desk import OPERATOR, PARKING_WINDOW, Desk

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
def books(engine) -> Books:
    return Books(engine)


@pytest.fixture
def desk(engine, clock) -> Desk:
    """A desk with a platform and a wallet, whose calls are worded from the ticket's own facts."""
    made = Desk(engine, clock)
    made.add_operator()
    made.add_operator(WALLET, protocol="seamless", announces_tickets=True)
    return made


def damaged(desk: Desk, *, document: str, ticket_id: str = "damaged") -> None:
    """An open ticket of the wallet's, of which nothing is known any more."""
    desk.say("ticket_open", ticket_id, operator=WALLET, sequence=1, **SLIP)
    with desk.engine.begin() as connection:
        row = {"document": document, "ticket_id": ticket_id}
        assert connection.execute(DAMAGE, row).rowcount == 1


@pytest.mark.parametrize("document", NO_FACTS)
def test_a_window_that_cannot_be_ended_stops_no_other(desk, books, document):
    """Rule 8: what waits is decided once more when its window is over, or given up."""
    damaged(desk, document=document)
    desk.say("ticket_lost", "damaged", operator=WALLET, sequence=3, event_id="lost")
    desk.say("ticket_win", "well")
    desk.say("ticket_lost", "well")
    desk.wait(PARKING_WINDOW)

    ended = [desk.end_windows(), desk.end_windows()]

    assert ended == [2, 0]
    given_up = books.event("lost", "damaged", operator=WALLET)
    assert (given_up.outcome, given_up.reason) == ("rejected", "missing_fields")
    assert "data.player_id" in given_up.message
    assert books.outcomes("well")[1] == ("ticket_lost", "rejected")
    assert books.ticket("damaged", operator=WALLET).parked == 0
    books.check()


def test_an_event_that_cannot_be_sent_is_rejected_and_its_neighbours_go_through(desk, books):
    damaged(desk, document="[]")
    hopeless = desk.event("ticket_lost", "damaged", operator=WALLET, event_id="lost")

    desk.publish(desk.event("ticket_win", "before"), hopeless, desk.event("ticket_win", "after"))

    rejected = books.event("lost", "damaged", operator=WALLET)
    assert (rejected.outcome, rejected.reason) == ("rejected", "missing_fields")
    assert [books.standing(name) for name in ("before", "after")] == ["resulted/won"] * 2


@pytest.mark.parametrize("document", NO_FACTS)
def test_an_operator_s_tickets_are_listed_although_one_is_damaged(desk, document):
    desk.say("ticket_open", "well", ticket_code="WELL")
    desk.say("ticket_open", "damaged")
    with desk.engine.begin() as connection:
        connection.execute(DAMAGE, {"document": document, "ticket_id": "damaged"})
        id_ = connection.execute(OPERATOR_ID, {"code": OPERATOR}).scalar_one()
        caller = Caller(operator=id_, code=OPERATOR, protocol="pam", zone=ZoneInfo("UTC"))

        listed = list_tickets(connection, caller, limit=10)

    assert [(one.id, one.code, one.price) for one in listed] == [
        ("damaged", None, None),
        ("well", "WELL", None),
    ]


def test_an_event_damaged_in_the_log_holds_up_no_other_of_its_ticket(desk, books):
    desk.say("ticket_win", "T")
    desk.say("ticket_lost", "T", event_id="lost")
    with desk.engine.begin() as connection:
        connection.execute(text("UPDATE ticket_event SET data = '[1]' WHERE event_id = 'lost'"))
    desk.wait(timedelta(seconds=1))

    desk.say("ticket_rollback", "T")

    assert books.standing("T") == "open/pending"
    lost = books.event("lost", "T")
    assert (lost.outcome, lost.reason) == ("rejected", "poison")
    assert lost.message == "data in the log is a list, not an object"
    assert lost.data == [1]
    books.check()
