"""Lottery messages as the vendor's page and its sample have them (contracts 3)."""

import json
from datetime import date, timedelta
from typing import Any

from models.events.decode import read
from models.events.event import Entry, Event, Unreadable
from models.events.lottery import lottery_problem
from models.events.refusal import Refusal
from models.platform.timestamps import entry_id_time
from tests.support.entries import ENTRY_ID
from tests.support.sources import ROOT

SAMPLE = (ROOT / "tests" / "samples" / "lottery_settlement.json").read_bytes()
SAMPLE_TIME = b"2015-03-02T8:27:58.721607+06:00"
OPERATOR = "acme"
TICKET = "2019020103308257480"
BOUGHT = "2024-11-20T08:00:00+00:00"
DRAWN = "2024-11-20T09:00:00+00:00"
STARRED = (  # on the vendor's page: required
    "ticket_id",
    "lottery_id",
    "lottery_name",
    "lottery_type",
    "draw_id",
    "draw_date",
    "currency",
    "exchange_rate",
    "amount",
    "lines",
    "origin",
    "timestamp",
    "user_id",
)
_COMMON: dict[str, Any] = {
    "ticket_id": TICKET,
    "lottery_id": "1",
    "lottery_name": "Mega Millions",
    "lottery_type": "Lottery",
    "draw_id": "1",
    "draw_date": DRAWN,
    "currency": "EUR",
    "exchange_rate": 1,
    "origin": "sub.example.com",
    "user_id": "52530",
}


def bet(**changed: object) -> bytes:
    """Return a Bet; a field of *changed* that is `...` is left out."""
    line = {"line_id": 1, "numbers": [32, 23, 12, 11, 35, 54], "special_numbers": [32]}
    return _written({"type": "Bet", "timestamp": BOUGHT, "amount": 4.0, "lines": [line]}, changed)


def settlement(*, won: bool = True, **changed: object) -> bytes:
    """Return a Settlement with one line, which won or not."""
    line = {"line_id": 1, "matched_numbers": [12, 32], "is_winning_line": won}
    amount = 24.5 if won else 0
    facts = {"type": "Settlement", "timestamp": DRAWN, "amount": amount, "lines": [line]}
    return _written(facts, changed)


def sample(day: date) -> bytes:
    """Return the vendor's sample as if its draw had been on *day*."""
    return SAMPLE.replace(SAMPLE_TIME[:10], day.isoformat().encode())


def with_amount(text: str, currency: str = "EUR") -> bytes:
    """Return a winning Settlement whose amount is written as *text*."""
    return settlement(currency=currency, amount="AMOUNT").replace(b'"AMOUNT"', text.encode())


def lottery_entry(raw: bytes, *, operator: str = OPERATOR, entry_id: str = ENTRY_ID) -> Entry:
    """Return the stream entry that carries *raw*."""
    fields = {b"type": b"LOTTERY_V2", b"operator": operator.encode(), b"event": raw}
    return Entry(entry_id, fields)


def accepted(raw: bytes) -> Event:
    """Return the event in *raw*, which must be readable."""
    decoded = read(lottery_entry(raw))
    assert isinstance(decoded, Event), decoded.message
    return decoded


def refused(raw: bytes) -> Unreadable:
    """Return what was kept of *raw*, which must not be readable."""
    decoded = read(lottery_entry(raw))
    assert isinstance(decoded, Unreadable), decoded
    return decoded


def wrong(raw: bytes) -> Refusal | None:
    """Return why a channel refuses *raw* when the entry would be added; its age does not matter."""
    return lottery_problem(raw, now=entry_id_time(ENTRY_ID), age_max=timedelta.max)


def _written(facts: dict[str, Any], changed: dict[str, object]) -> bytes:
    message = {**_COMMON, **facts, **changed}
    return json.dumps({name: fact for name, fact in message.items() if fact is not ...}).encode()
