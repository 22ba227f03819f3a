"""The harness of most tests: publish, deliver and sweep at a time that the test moves."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import Connection, Engine, text

from models.events.decode import read
from models.events.event import Entry, Event
from models.intake.apply import Applied, apply_entries
from models.intake.batch import apply_events
from models.operators.interventions import Person
from models.outbox.claim import LeaseTerms, claim, release
from models.outbox.creates import abandon_creates
from models.outbox.record import RecordPolicy, record
from models.outbox.values import Attempt, Claim, Delivered, Recorded, Verdict
from models.partnerships.end import EndedPartnership, mark_ended
from models.partnerships.tickets import end_leftover_tickets
from models.sweeps.closing import close_due
from models.sweeps.parking import end_windows
from models.triage import HeldTicket, ReleasedTicket, hold_ticket, release_ticket
from tests.support.manual_clock import ManualClock

OPERATOR = "acme"
PARKING_WINDOW = timedelta(minutes=15)
PARTNER_GRACE = timedelta(seconds=10)
RECORD_POLICY = RecordPolicy(PARTNER_GRACE, PARKING_WINDOW)
LEASE = timedelta(seconds=25)
CREATE_AGE_MAX = timedelta(seconds=60)
CLOSE_DELAY = timedelta(hours=24)
TOOK = timedelta(milliseconds=120)
PERSON = Person("anna", "the contract has ended")
HOLDER = Person("vera", "the player disputes it")

AMOUNTS: Mapping[str, Any] = {
    "price": 500,
    "stake": 444,
    "wht_amount": 1,
    "wht": 10.0,
    "ext_amount": 55,
    "ext": 12.5,
    "ext_type": "inclusive",
    "gross_payout": 1200,
    "net_payout": 1145,
}
SLIP: Mapping[str, Any] = {
    "ticket_code": "CODE",
    "player_id": "player",
    **AMOUNTS,
    "currency": "EUR",
    "ticket_type": "quickbet",
}

ADD_OPERATOR = text("""
    INSERT INTO operator (code, protocol, url, secret, agent, close_delay, announces_tickets)
    VALUES (:code, :protocol, 'https://partner.example/hook', 'sealed', 'agent', :close_delay,
            :announces_tickets)
 RETURNING id""")
DISABLE_OPERATOR = text("UPDATE operator SET disabled_at = now() WHERE code = :code")
ENABLE_OPERATOR = text("UPDATE operator SET disabled_at = NULL WHERE code = :code")
OPERATORS = text("SELECT id FROM operator ORDER BY id")


@dataclass
class Harness:
    """Drives one database the way intake, deliverers and sweep do."""

    engine: Engine
    clock: ManualClock
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def now(self) -> datetime:
        """The moment the test has reached."""
        return self.clock.now()

    def wait(self, by: timedelta) -> None:
        """Let time pass."""
        self.clock.advance(by)

    def add_operator(
        self,
        code: str = OPERATOR,
        *,
        protocol: str = "pam",
        close_delay: timedelta = CLOSE_DELAY,
        announces_tickets: bool = False,
    ) -> int:
        """Make a partner and return its id."""
        row = {
            "code": code,
            "protocol": protocol,
            "close_delay": close_delay,
            "announces_tickets": announces_tickets,
        }
        with self.engine.begin() as connection:
            made: int = connection.execute(ADD_OPERATOR, row).scalar_one()
        return made

    def disable(self, code: str = OPERATOR) -> None:
        """Hold a partner's notices."""
        with self.engine.begin() as connection:
            connection.execute(DISABLE_OPERATOR, {"code": code})

    def enable(self, code: str = OPERATOR) -> None:
        """Let a partner's notices go again."""
        with self.engine.begin() as connection:
            connection.execute(ENABLE_OPERATOR, {"code": code})

    def end_partnership(self, code: str = OPERATOR) -> EndedPartnership:
        """End the partnership with a partner; its tickets are not ended yet."""
        with self.engine.begin() as connection:
            return mark_ended(connection, code, person=PERSON, now=self.now)

    def end_tickets(self, *, limit: int = 100) -> int:
        """End tickets of ended partnerships, as a round of the sweep does; return how many."""
        with self.engine.begin() as connection:
            return end_leftover_tickets(connection, now=self.now, limit=limit)

    # --- publishing ---

    def raw(self, event: bytes, *, deliveries: int = 1) -> Entry:
        """Put bytes on the stream, as they are."""
        return Entry(self._entry_id(), {b"event": event}, deliveries)

    def event(
        self,
        action: str,
        ticket_id: str = "T",
        *,
        event_id: str | None = None,
        at: datetime | None = None,
        sequence: int | None = None,
        operator: str = OPERATOR,
        deliveries: int = 1,
        **data: object,
    ) -> Entry:
        """Format an event as a stream entry of this moment. *at*: when it says it occurred."""
        fields: dict[str, Any] = {
            "action": action,
            "data": {"operator": operator, "ticket_id": ticket_id, **data},
        }
        if event_id is not None:
            fields["event_id"] = event_id
        if at is not None:
            fields["occurred_at"] = at.isoformat()
        if sequence is not None:
            fields["sequence"] = sequence
        return self.raw(json.dumps(fields).encode(), deliveries=deliveries)

    def publish(self, *entries: Entry, isolate_unclear: bool = False) -> Applied:
        """Have *entries* applied as one batch."""
        read = [replace(entry, read_at=entry.read_at or self.now) for entry in entries]
        return apply_entries(
            self.engine.begin,
            read,
            clock=self.clock,
            parking_window=PARKING_WINDOW,
            isolate_unclear=isolate_unclear,
        )

    def say(self, action: str, ticket_id: str = "T", **words: Any) -> Counter[tuple[str, str]]:  # noqa: ANN401 - handed on to `event`
        """Publish one event, as a batch of its own."""
        return self.publish(self.event(action, ticket_id, **words)).outcomes

    def apply_within(self, connection: Connection, *entries: Entry) -> None:
        """Apply *entries* inside the caller's transaction: not yet committed."""
        events = [event for entry in entries if isinstance(event := read(entry), Event)]
        apply_events(connection, events, now=self.now, parking_window=PARKING_WINDOW)

    def _entry_id(self) -> str:
        return f"{int(self.now.timestamp() * 1000)}-{next(self._numbers)}"

    # --- delivering ---

    def claim(self, *, most: int = 100, lease: timedelta = LEASE) -> list[Claim]:
        """Lease what is due, of every operator."""
        with self.engine.begin() as connection:
            room = dict.fromkeys(connection.execute(OPERATORS).scalars(), most)
            return self.claim_within(connection, room, lease=lease)

    def claim_within(
        self, connection: Connection, room: Mapping[int, int], *, lease: timedelta = LEASE
    ) -> list[Claim]:
        """Lease what is due inside the caller's transaction."""
        return claim(
            connection,
            now=self.now,
            lease=LeaseTerms(lease, timedelta()),
            room=room,
            create_age_max=CREATE_AGE_MAX,
        )

    def claim_one(self) -> Claim:
        """Lease the one notice that is due."""
        (only,) = self.claim()
        return only

    def release(self, *claims: Claim) -> None:
        """Return leases unused."""
        with self.engine.begin() as connection:
            release(connection, claims)

    def record(self, claims: Claim | Iterable[Claim], verdict: Verdict | None = None) -> Recorded:
        """Record the same verdict for each of *claims*; a success unless told otherwise."""
        listed = [claims] if isinstance(claims, Claim) else list(claims)
        return self.record_attempts(
            *(Attempt(claim, verdict or Delivered(), TOOK, http_status=200) for claim in listed)
        )

    def record_attempts(self, *attempts: Attempt) -> Recorded:
        """Record *attempts* as one batch."""
        with self.engine.begin() as connection:
            return self.record_within(connection, *attempts)

    def record_within(self, connection: Connection, *attempts: Attempt) -> Recorded:
        """Record *attempts* inside the caller's transaction: not yet committed."""
        return record(
            connection,
            attempts,
            now=self.now,
            policy=RECORD_POLICY,
        )

    def deliver(self, verdict: Verdict | None = None) -> list[tuple[str, str]]:
        """Claim all that is due and record *verdict* for it; (ticket, action) of each."""
        claims = self.claim()
        self.record(claims, verdict)
        return sorted((claim.ticket_id, claim.action.value) for claim in claims)

    # --- holding ---

    def hold(self, ticket_id: str = "T", *, operator: str = OPERATOR) -> HeldTicket:
        """Put a ticket on hold."""
        with self.engine.begin() as connection:
            return self.hold_within(connection, ticket_id, operator=operator)

    def hold_within(
        self, connection: Connection, ticket_id: str = "T", *, operator: str = OPERATOR
    ) -> HeldTicket:
        """Put a ticket on hold inside the caller's transaction: not yet committed."""
        return hold_ticket(connection, operator, ticket_id, person=HOLDER, now=self.now)

    def release_ticket(self, ticket_id: str = "T", *, operator: str = OPERATOR) -> ReleasedTicket:
        """Release a ticket that is on hold."""
        with self.engine.begin() as connection:
            return self.release_ticket_within(connection, ticket_id, operator=operator)

    def release_ticket_within(
        self, connection: Connection, ticket_id: str = "T", *, operator: str = OPERATOR
    ) -> ReleasedTicket:
        """Release a ticket inside the caller's transaction: not yet committed."""
        return release_ticket(connection, operator, ticket_id, person=HOLDER, now=self.now)

    # --- sweeping ---

    def close_due(self, *, watermark: datetime | None = None, limit: int = 100) -> int:
        """Close what is due. Without *watermark* the stream is empty."""
        with self.engine.begin() as connection:
            return self.close_within(connection, watermark=watermark, limit=limit)

    def close_within(
        self, connection: Connection, *, watermark: datetime | None = None, limit: int = 100
    ) -> int:
        """Close what is due inside the caller's transaction: not yet committed."""
        return close_due(connection, now=self.now, watermark=watermark or self.now, limit=limit)

    def end_windows(self, *, watermark: datetime | None = None, limit: int = 100) -> int:
        """End the waiting whose window is over. Without *watermark* the stream is empty."""
        with self.engine.begin() as connection:
            return end_windows(
                connection,
                now=self.now,
                watermark=watermark or self.now,
                parking_window=PARKING_WINDOW,
                limit=limit,
            )

    def abandon_creates(self, *, limit: int = 100) -> int:
        """Give up creates without an answer."""
        with self.engine.begin() as connection:
            return abandon_creates(
                connection,
                now=self.now,
                age_max=CREATE_AGE_MAX,
                parking_window=PARKING_WINDOW,
                limit=limit,
            )
