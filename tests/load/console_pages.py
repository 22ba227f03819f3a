"""The pages that are measured: what matches little and much, the first page and deep ones."""

from typing import Final

from sqlalchemy import Row, text

from tests.load.console_data import DOWN, FEW, LONG
from tests.load.environment import OPERATOR, Database, operator_code
from worker.console.addresses import path_of, with_query

DEEP: Final = 5  # how often "Next" is followed
KNOWN: Final = text("""
    SELECT t.ticket_id, o.code AS operator, t.details ->> 'ticket_code' AS code, e.event_id, n.id,
           o.code || '/' || t.ticket_id || '/' || n.action || '/' || n.generation AS key
      FROM ticket t JOIN operator o ON o.id = t.operator
      JOIN ticket_event e ON e.ticket = t.id JOIN notice n ON n.ticket = t.id
     WHERE t.id = (SELECT max(id) FROM ticket) LIMIT 1""")
DOWN_CODE: Final = operator_code(DOWN - 1)
FEW_CODE: Final = operator_code(FEW)
RARE: Final = "rare answer"

LISTS: Final = {
    "notices, dead": ("/notices", {}),
    "notices, dead of one partner": ("/notices", {"partner": OPERATOR}),
    "notices, dead of a partner with none": ("/notices", {"partner": FEW_CODE}),
    "notices, dead by a common status": ("/notices", {"status": "404"}),
    "notices, dead by a rare status": ("/notices", {"status": "451"}),
    "notices, dead by a common answer": ("/notices", {"answer": "balance too low"}),
    "notices, dead by a rare answer": ("/notices", {"answer": RARE}),
    "notices, dead by an answer of none": ("/notices", {"answer": "no such answer"}),
    "notices, dead in the last hour": ("/notices", {"since": "1h"}),
    "notices, waiting": ("/notices", {"outcome": "waiting"}),
    "notices, waiting for who is down": ("/notices", {"outcome": "waiting", "partner": DOWN_CODE}),
    "notices, on hold": ("/notices", {"outcome": "on_hold"}),
    "notices, delivered": ("/notices", {"outcome": "delivered"}),
    "notices, delivered with a status of none": (
        "/notices",
        {"outcome": "delivered", "status": "299"},
    ),
    "notices, retry all": ("/notices/resolve", {"act": "retry", "all": "1"}),
    "notices, retry by a rare answer": (
        "/notices/resolve",
        {"act": "retry", "all": "1", "answer": RARE},
    ),
    "events, rejected": ("/events", {"outcome": "rejected"}),
    "events, parked": ("/events", {"outcome": "parked"}),
    "events, superseded": ("/events", {"outcome": "superseded"}),
    "events, rejected of a partner with none": (
        "/events",
        {"outcome": "rejected", "partner": FEW_CODE},
    ),
    "partners": ("/partners", {}),
    "partner": (path_of("partners", OPERATOR), {}),
    "partner, two days": (path_of("partners", OPERATOR), {"span": "48h"}),
    "partner, down": (path_of("partners", DOWN_CODE), {}),
    "partner, with nothing": (path_of("partners", FEW_CODE), {}),
    "jobs": ("/jobs", {}),
    "job": ("/jobs/1", {}),
    "history": ("/history", {}),
    "history, of a rare person": ("/history", {"who": "rare"}),
    "erasures": ("/erasures", {}),
    "system": ("/system", {}),
    "ticket, the longest history": (path_of("tickets", OPERATOR, LONG), {}),
}


def pages_of(database: Database) -> dict[str, str]:
    """The addresses of what is measured, by name."""
    with database.engine.begin() as connection:
        known = connection.execute(KNOWN).one()
    ticket = path_of("tickets", known.operator, known.ticket_id)
    lists = {name: with_query(path, query) for name, (path, query) in LISTS.items()}
    return {"overview": "/", "ticket": ticket, **lists, **_searches(known)}


def _searches(known: Row) -> dict[str, str]:  # type: ignore[type-arg]  # its columns are named
    values = {
        "ticket id": known.ticket_id,
        "ticket code": known.code,
        "a player of fifty": "player-7",
        "a player of thousands": "player-of-many",
        "event id": known.event_id,
        "notice id": str(known.id),
        "transaction id": "0b3ad7e6-8f0e-4b5e-9d43-0f6cf0c7a001",
        "idempotency key": known.key,
        "what is not there": "nothing-has-this-id",
    }
    return {f"search by {name}": with_query("/", {"q": value}) for name, value in values.items()}
