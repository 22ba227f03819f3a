"""The published schemas are up to date, and accept what the intake accepts."""

import json
from typing import Any

from models.events.event import Entry
from models.events.published import read_published
from models.events.refusal import Refusal
from models.events.stream_contract import EVENT_FIELD
from producers.contract.documents import FOLDER, documents
from tests.support import lottery
from tests.support.harness import SLIP
from tests.support.schema_reader import takes

LEAST: dict[str, Any] = {"operator": "operator-code", "ticket_id": "1330556611374148608"}
WIN: dict[str, Any] = {"action": "ticket_win", "data": LEAST}
EVENTS: list[dict[str, Any]] = [
    WIN,
    WIN | {"event_id": "7f1", "occurred_at": "2026-11-20T10:00:00.123Z", "sequence": 1},
    WIN | {"stranger": {"kept": True}, "data": LEAST | {"gross_payout": 500, "another": [1]}},
    WIN | {"occurred_at": "2026-11-20T10:00:00"},
    WIN | {"event_id": "with space"},
    WIN | {"event_id": "x" * 65},
    WIN | {"sequence": 0},
    WIN | {"action": "ticket_closed"},
    WIN | {"data": {"operator": "operator-code"}},
    WIN | {"data": LEAST | {"gross_payout": 5.5}},
    WIN | {"data": LEAST | {"currency": "eur"}},
    {"action": "ticket_reserve", "data": {**LEAST, **SLIP}},
    {"action": "ticket_reserve", "data": LEAST},
    {"action": "ticket_reserve", "data": {**LEAST, **SLIP, "price": None}},
    {"data": LEAST},
]
MESSAGES = [
    lottery.SAMPLE,
    lottery.bet(),
    lottery.settlement(user_id=...),
    lottery.bet(draw_id="first"),
    lottery.settlement(amount=-1),
    lottery.settlement(type="Refund"),
]


def test_the_contract_s_files_are_fresh():
    files = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}

    assert files == documents(), "generate them: python -m producers.contract"


# With generated events and messages: tests/properties/test_channels_agree.py.
def test_the_schema_takes_exactly_the_events_that_the_intake_takes():
    by_schema = [takes("event.schema.json", event) for event in EVENTS]

    assert by_schema == [taken(event) for event in EVENTS]
    assert 0 < sum(by_schema) < len(EVENTS)


def taken(event: dict[str, Any]) -> bool:
    try:
        read_published(Entry("1763632800000-0", {EVENT_FIELD: json.dumps(event).encode()}))
    except Refusal:
        return False
    return True


def test_the_schema_takes_exactly_the_lottery_messages_that_the_intake_takes():
    by_schema = [takes("lottery.schema.json", json.loads(message)) for message in MESSAGES]

    assert by_schema == [lottery.wrong(message) is None for message in MESSAGES]
    assert 0 < sum(by_schema) < len(MESSAGES)


def test_the_gateway_s_description_names_every_route_that_outsiders_use():
    """Every route of the HTTP interface is described."""
    routes = {
        f"{method.upper()} {path}"
        for path, operations in schema_of_gateway()["paths"].items()
        for method in operations
    }

    assert routes >= {
        "POST /be/tickets/{identifier}/paid",
        "GET /be/tickets/{identifier}",
        "GET /be/tickets",
        "POST /v2/integration/lottery",
        "POST /events",
        "GET /events",
        "GET /events/{event_id}",
        "GET /tickets/{ticket_id}",
    }


def schema_of_gateway() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((FOLDER / "openapi.json").read_text(encoding="utf-8"))
    return read
