"""The lottery feed in the database: one draw of a ticket is one life (H4, H11)."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from sqlalchemy import Connection, Engine, text

from models.events.event import Entry
from models.history import load_histories
from models.operators.interventions import Person
from models.triage import EventResolution, NotPossible, retry_raw
from tests.support.harness import PARKING_WINDOW, Harness
from tests.support.lottery import OPERATOR, SAMPLE, TICKET, bet, lottery_entry, settlement
from tests.support.manual_clock import ManualClock
from tests.support.records import Records

PER_DRAW = text("UPDATE operator SET lottery_ticket = 'ticket+draw' WHERE code = :code")
ANNOUNCED = text("UPDATE operator SET announces_tickets = true WHERE code = :code")
PROTOCOL = text("""
    UPDATE operator SET protocol = :protocol, agent = 'a', announces_tickets = true
     WHERE code = :code""")
DRAWN = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
SOMEBODY = Person("jane", "the operator is there now")


@pytest.fixture
def per_draw(harness: Harness, engine: Engine) -> Harness:
    """The same harness; its operator was added with `--lottery-ticket ticket+draw`."""
    with engine.begin() as connection:
        connection.execute(PER_DRAW, {"code": OPERATOR})
    return harness


@pytest.fixture
def announced(harness: Harness, engine: Engine) -> Harness:
    """The same harness; its operator announces its tickets."""
    with engine.begin() as connection:
        connection.execute(ANNOUNCED, {"code": OPERATOR})
    return harness


class Feed:
    """The vendor: each message is one entry."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness
        self._numbers: Iterator[int] = count(1)

    def entry(self, raw: bytes, *, operator: str = OPERATOR) -> Entry:
        at = int(self._harness.now.timestamp() * 1000)
        return lottery_entry(raw, operator=operator, entry_id=f"{at}-{next(self._numbers)}")

    def send(self, *messages: bytes) -> dict[tuple[str, str], int]:
        return dict(self._harness.publish(*(self.entry(raw) for raw in messages)).outcomes)


@pytest.fixture
def feed(harness: Harness) -> Feed:
    return Feed(harness)


def drawn(minute: int = 0, *, won: bool = True, **facts: object) -> bytes:
    """A Settlement of that minute after the draw."""
    at = DRAWN + timedelta(minutes=minute)
    return settlement(won=won, timestamp=at.isoformat(), **facts)


def reasons(records: Records, ticket: str = TICKET) -> list[tuple[str, str, str | None]]:
    return [(row.action, row.outcome, row.reason) for row in records.events(ticket)]


def test_a_ticket_is_bought_drawn_and_told_to_its_partner(feed, harness, records):
    feed.send(bet())
    assert records.standing(TICKET) == "open/pending"
    assert records.ticket(TICKET).details == {
        "player_id": "52530",
        "price": 400,
        "currency": "EUR",
        "game": "Mega Millions",
        "game_id": "1",
    }

    feed.send(drawn())

    assert records.standing(TICKET) == "resulted/won"
    assert records.ticket(TICKET).amounts == {"net_payout": 2450, "currency": "EUR"}
    assert records.ticket(TICKET).draw == "1"
    assert harness.deliver() == [(TICKET, "ticket_win")]


def test_everything_received_is_kept_in_the_log(feed, records):
    feed.send(SAMPLE)

    (event,) = records.events(TICKET)
    assert event.data["lottery"] == json.loads(SAMPLE)
    assert event.reason == "opened_implicitly"


def test_a_repeated_delivery_counts_once(feed, records):
    feed.send(bet(), drawn(), drawn())
    feed.send(bet(), drawn())

    assert [(event.outcome, event.repeats) for event in records.events(TICKET)] == [
        ("applied", 1),
        ("applied", 2),
    ]
    assert records.notice_actions(TICKET) == ["ticket_win"]


@pytest.mark.parametrize(
    ("again", "standing"),
    [
        ({"won": False}, "resulted/lost"),
        ({"amount": 99}, "resulted/won"),
    ],
)
def test_a_fresh_settlement_with_another_outcome_or_amount_is_a_correction(
    feed, records, again, standing
):
    feed.send(bet(), drawn())

    feed.send(drawn(1, **again))

    assert records.standing(TICKET) == standing
    second = "ticket_lost" if "won" in again else "ticket_win"
    assert records.notice_actions(TICKET) == ["ticket_win", "ticket_rollback", second]
    assert reasons(records)[-1] == (second, "applied", "correction")


@pytest.mark.parametrize("protocol", ["pam", "seamless"])
@pytest.mark.parametrize(("currency", "amount"), [("USD", 24.5), ("JPY", 2450)])
def test_a_settlement_in_another_currency_than_its_bet_pays_nothing(
    harness, records, engine, protocol, currency, amount
):
    """Its amount would be paid as the ticket's own money; and neither does it confirm one."""
    with engine.begin() as connection:
        connection.execute(PROTOCOL, {"code": OPERATOR, "protocol": protocol})
    feed = Feed(harness)
    feed.send(bet(), drawn(currency=currency, amount=amount))
    assert records.standing(TICKET) == "open/pending"

    feed.send(drawn(1), drawn(2, currency=currency, amount=amount))

    assert reasons(records)[1:] == [
        ("ticket_win", "rejected", "other_currency"),
        ("ticket_win", "applied", None),
        ("ticket_win", "rejected", "other_currency"),
    ]
    assert records.events(TICKET)[1].message == (
        f"currency: {currency} where the ticket was opened in EUR"
    )
    assert records.notice_actions(TICKET) == ["ticket_win"]


def test_without_a_bet_a_settlement_that_differs_in_currency_alone_replaces_the_first(
    feed, records
):
    """Nothing shows which one opened the ticket: the later settlement is the correction."""
    feed.send(drawn())
    feed.send(drawn(1, currency="USD"))
    feed.send(bet())

    assert reasons(records) == [
        ("ticket_win", "applied", "opened_implicitly"),
        ("ticket_win", "applied", "correction"),
        ("ticket_open", "rejected", "other_currency"),
    ]
    assert records.ticket(TICKET).amounts == {"net_payout": 2450, "currency": "USD"}
    assert records.events(TICKET)[2].message == "currency: EUR where its result is in USD"


def test_a_settlement_that_an_older_release_applied_is_still_the_same_one(feed, records, engine):
    """It kept no currency with the amounts; a repeat counts once, the same again confirms."""
    feed.send(bet(), drawn())
    with engine.begin() as connection:
        connection.execute(text("UPDATE ticket SET amounts = amounts - 'currency'"))

    feed.send(drawn(), drawn(1))

    assert [(event.outcome, event.repeats) for event in records.events(TICKET)] == [
        ("applied", 0),
        ("applied", 1),
        ("confirmed", 0),
    ]


def test_a_settlement_that_contradicts_itself_is_doubtful_in_its_ticket_s_history(
    feed, records, engine
):
    feed.send(bet(), drawn(won=False, amount=99))

    with engine.begin() as connection:
        (history,) = load_histories(connection, TICKET)
    assert [event.message for event in history.events] == [
        None,
        "doubtful: the amount is 99, but no line has won: nothing is paid",
    ]
    assert records.notice_actions(TICKET) == ["ticket_lost"]


def test_an_older_settlement_that_comes_late_corrects_nothing(feed, records):
    """H4: the same comparison of times holds for corrections."""
    feed.send(bet(), drawn(5))
    feed.send(drawn(1, won=False))

    assert records.standing(TICKET) == "resulted/won"
    assert reasons(records)[-1] == ("ticket_lost", "superseded", "older_differs")


def test_the_same_settlement_of_a_later_minute_confirms(feed, records):
    feed.send(bet(), drawn(), drawn(1))

    assert reasons(records)[-1] == ("ticket_win", "confirmed", "same_result")
    assert records.notice_actions(TICKET) == ["ticket_win"]


def test_a_settlement_before_its_bet_opens_the_ticket(feed, records):
    feed.send(drawn())
    feed.send(bet())

    assert records.standing(TICKET) == "resulted/won"
    assert reasons(records) == [
        ("ticket_win", "applied", "opened_implicitly"),
        ("ticket_open", "applied", "late_open"),
    ]
    assert records.ticket(TICKET).details["player_id"] == "52530"


def test_a_settlement_before_its_bet_waits_where_tickets_are_announced(announced, records):
    feed = Feed(announced)

    assert feed.send(drawn()) == {("ticket_win", "parked"): 1}
    feed.send(bet())

    assert records.standing(TICKET) == "resulted/won"


def test_another_draw_of_the_same_ticket_is_rejected_with_that_reason(feed, records):
    """H11: it would read as a correction of the first draw."""
    feed.send(bet(), drawn(won=False))

    feed.send(drawn(1, draw_id="2"), bet(draw_id="2"))

    assert records.standing(TICKET) == "resulted/lost"
    assert reasons(records)[2:] == [
        ("ticket_open", "rejected", "other_draw"),
        ("ticket_win", "rejected", "other_draw"),
    ]
    assert "takes part in draw 1, the event names draw 2" in records.events(TICKET)[-1].message


def test_the_draw_of_what_only_waits_is_not_the_ticket_s(announced, records):
    """The bet names its draw; a settlement of another draw does not affect it."""
    feed = Feed(announced)
    feed.send(drawn(draw_id="2"))

    feed.send(bet(draw_id="1"))

    assert records.ticket(TICKET).draw == "1"
    assert reasons(records) == [
        ("ticket_win", "rejected", "other_draw"),
        ("ticket_open", "applied", None),
    ]


def test_an_event_that_names_no_draw_fits_any(feed, harness, records):
    feed.send(bet(), drawn())

    harness.say("ticket_rollback", TICKET)

    assert records.standing(TICKET) == "open/pending"


def test_with_a_ticket_for_each_draw_two_draws_are_two_lives(per_draw, records):
    feed = Feed(per_draw)

    feed.send(bet(), bet(draw_id="2"), drawn(won=False), drawn(1, draw_id="2"))

    assert records.tickets() == [f"{TICKET}.1", f"{TICKET}.2"]
    assert records.standing(f"{TICKET}.1") == "resulted/lost"
    assert records.standing(f"{TICKET}.2") == "resulted/won"
    assert [row.body for row in records.notices(f"{TICKET}.2")] == [
        f'{{"action":"ticket_win","data":{{"operator":"acme","ticket_id":"{TICKET}.2"}}}}'
    ]


def test_with_a_ticket_for_each_draw_the_two_names_must_fit_an_id(per_draw, records):
    Feed(per_draw).send(bet(ticket_id="1" * 60, draw_id="2" * 4))

    (kept,) = records.rejected()
    assert kept.message == (
        "ticket_id and draw_id together have 65 characters; at most 64 are taken"
    )


def test_a_message_refused_for_its_operator_can_be_retried(engine, clock, records, per_draw):
    """The operator is named beside the message, and is stored with it."""
    stranger = Feed(per_draw).entry(drawn(), operator="globex")
    per_draw.publish(stranger)
    with engine.begin() as connection, pytest.raises(NotPossible, match="no operator 'globex'"):
        again(connection, stranger, clock)
    per_draw.add_operator("globex")
    with engine.begin() as connection:
        connection.execute(PER_DRAW, {"code": "globex"})

    with engine.begin() as connection:
        end = again(connection, stranger, clock)

    assert (end.operator, end.ticket_id, end.outcome) == ("globex", f"{TICKET}.1", "applied")
    assert records.standing(f"{TICKET}.1", operator="globex") == "resulted/won"


def again(connection: Connection, entry: Entry, clock: ManualClock) -> EventResolution:
    return retry_raw(
        connection,
        entry.id,
        age_max=timedelta(days=30),
        now=clock.now(),
        window=PARKING_WINDOW,
        person=SOMEBODY,
    )
