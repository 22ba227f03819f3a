"""A ticket's history, loaded from a real life: its facts, its order, its explanation."""

import json
from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import Engine

from models.events.event import Entry
from models.history import load_histories, timeline, why_not_closed
from models.intake.apply import apply_entries
from models.operators import NewOperator, add_operator
from models.operators.interventions import Change, Person, record_intervention
from models.operators.partners import enabled_partners
from models.outbox.claim import LeaseTerms, claim
from models.outbox.record import RecordPolicy, record
from models.outbox.values import Attempt, Delivered, RetryLater, Verdict
from models.platform.encryption import Vault
from models.sweeps.closing import close_due
from models.vocabulary import Action, NoticeEnd, Outcome, Status
from tests.support.manual_clock import ManualClock

WINDOW = timedelta(minutes=15)
DAY = timedelta(hours=24)


class Life:
    """A ticket of `acme`, lived one step at a time on a clock that the test moves."""

    def __init__(self, engine: Engine, clock: ManualClock) -> None:
        self.engine = engine
        self.clock = clock
        self.entries = 0
        vault = Vault.with_keys([SecretStr(Fernet.generate_key().decode())])
        for code in ("acme", "betsy"):
            new = NewOperator(
                code=code, url=f"https://{code}.example/", protocol="pam", secret="s" * 20
            )
            with engine.begin() as connection:
                add_operator(connection, new, vault=vault, person=Person("anna", "test"))

    def publish(self, text: str | bytes) -> None:
        """Apply one entry, a second after the one before."""
        now = self.clock.advance(timedelta(seconds=1))
        self.entries += 1
        raw = text.encode() if isinstance(text, str) else text
        entry = Entry(f"{int(now.timestamp() * 1000)}-{self.entries}", {b"event": raw})
        apply_entries(self.engine.begin, [entry], clock=self.clock, parking_window=WINDOW)

    def happen(self, action: str, operator: str = "acme", **data: object) -> None:
        named = {"operator": operator, "ticket_id": "T-1", **data}
        event = {"event_id": f"e-{self.entries + 1}", "action": action, "data": named}
        self.publish(json.dumps(event))

    def attempt(self, verdict: Verdict, status: int) -> None:
        """Send what is due, with *status* as the answer."""
        now = self.clock.advance(timedelta(seconds=1))
        with self.engine.begin() as connection:
            claims = claim(
                connection,
                now=now,
                lease=LeaseTerms(timedelta(seconds=25), timedelta()),
                room={partner.id: 10 for partner in enabled_partners(connection, now=now)},
                create_age_max=timedelta(seconds=60),
            )
            attempts = [
                Attempt(sent, verdict, took=timedelta(milliseconds=40), http_status=status)
                for sent in claims
            ]
            assert attempts, "nothing was due"
            record(
                connection,
                attempts,
                now=now,
                policy=RecordPolicy(timedelta(seconds=10), WINDOW),
            )

    def sentence(self) -> str:
        with self.engine.begin() as connection:
            (history,) = load_histories(connection, "T-1", operator="acme")
        return why_not_closed(history, now=self.clock.now())


@pytest.fixture
def life(engine: Engine, clock: ManualClock) -> Life:
    return Life(engine, clock)


def test_a_whole_life_is_told_in_order(life, engine, clock):
    life.happen("ticket_open", price=500)
    life.happen("ticket_win")
    life.attempt(RetryLater(timedelta(seconds=10)), 500)
    clock.advance(timedelta(seconds=10))
    life.attempt(Delivered(), 200)
    now = clock.advance(DAY)
    with engine.begin() as connection:
        assert close_due(connection, now=now, watermark=now, limit=10) == 1
    life.attempt(Delivered(), 200)

    with engine.begin() as connection:
        (history,) = load_histories(connection, "T-1")
    moments = timeline(history)

    assert [event.outcome for event in history.events] == [Outcome.APPLIED, Outcome.APPLIED]
    assert [notice.action for notice in history.notices] == [Action.WIN, Action.CLOSED]
    assert [attempt.http_status for attempt in history.notices[0].attempts] == [500, 200]
    assert all(notice.ended is NoticeEnd.DELIVERED for notice in history.notices)
    assert history.ticket.status is Status.CLOSED
    assert [moment.at for moment in moments] == sorted(moment.at for moment in moments)
    assert [type(moment.what).__name__ for moment in moments] == [
        *("EventFact", "EventFact", "NoticeQueued", "Tried", "Tried"),
        *("Closed", "NoticeQueued", "Tried"),
    ]
    assert not history.cut


def test_the_sentence_follows_the_ticket_through_its_life(life, clock):
    life.happen("ticket_open")
    assert life.sentence() == "open: no result has come yet."

    life.happen("ticket_lost")
    assert "the partner has not accepted ticket_lost yet (not tried; due now)" in life.sentence()

    life.attempt(RetryLater(timedelta(seconds=10)), 503)
    assert (
        "(1 attempt, last: 503; next in 10s); the close delay of 24h has not started"
        in life.sentence()
    )

    clock.advance(timedelta(seconds=10))
    life.attempt(Delivered(), 200)
    assert "(in 24h), 24h after the partner accepted ticket_lost" in life.sentence()

    life.happen("ticket_win")
    assert "1 parked event (ticket_win) waits for a rollback" in life.sentence()


def test_what_a_person_did_and_what_was_refused_belong_to_the_history(life, engine):
    life.happen("ticket_open")
    life.publish('{"action":"ticket_lose","data":{"operator":"acme","ticket_id":"T-1"}}')
    with engine.begin() as connection:
        (history,) = load_histories(connection, "T-1")
        assert [refused.reason for refused in history.refused] == ["unknown_action"]
        ticket = connection.exec_driver_sql("SELECT id FROM ticket").scalar_one()
        record_intervention(
            connection, Change("notice_skipped", ticket=ticket), person=Person("bo", "by phone")
        )
        (history,) = load_histories(connection, "T-1")

    assert [(change.who, change.did, change.why) for change in history.interventions] == [
        ("bo", "notice_skipped", "by phone")
    ]


def test_the_same_id_at_two_operators_is_two_tickets(life, engine):
    """Rule 1 and H14."""
    life.happen("ticket_open")
    life.happen("ticket_open", operator="betsy")

    with engine.begin() as connection:
        both = load_histories(connection, "T-1")
        of_betsy = load_histories(connection, "T-1", operator="betsy")
        none = load_histories(connection, "T-2")

    assert [history.ticket.operator for history in both] == ["acme", "betsy"]
    assert [history.ticket.operator for history in of_betsy] == ["betsy"]
    assert none == []
