"""Writes what is hostile, and what is personal, into every text that others stored."""

import json
from typing import Any, Final

from sqlalchemy import Engine, text

PLAYER: Final = "Zplayer4711Z"
AMOUNT: Final = 987654321
PERSONAL: Final = (PLAYER, "987654321", "987,654,321", "9876543.21", "9,876,543.21")
HOSTILE: Final = (
    "\"'><img src=x onerror=alert(1)><script>alert(1)</script><a href=javascript:alert(1)>"
    "{{7*7}}\u202e\x1b[2J"
)
HIDDEN: Final = "\x00\x07\r\x1b\u200b\u202e"  # none of them may reach a page as it is
_SHORT: Final = HOSTILE[:60]
_BOTH: Final = f"{HOSTILE} {PLAYER} {AMOUNT} "
_DATA: Final = json.dumps(
    {"player_id": PLAYER, "ticket_code": HOSTILE, "currency": "EUR", "game": HOSTILE}
    | dict.fromkeys(("price", "stake", "gross_payout"), AMOUNT)
    | {"unknown": _BOTH}
)
_BODY: Final = json.dumps(
    {"action": "ticket_win", "userId": PLAYER, "amount": AMOUNT}
    | {"data": {"user_id": PLAYER, "amount": AMOUNT, "unknown": _BOTH, "lines": [{"x": _BOTH}]}}
)
_HEADERS: Final = json.dumps([[f"X-{HOSTILE}", _BOTH], ["content-type", HOSTILE]])
_PING: Final = json.dumps(
    {"signed": True, "there": False, "status": 200, "took_ms": 5, "address": HOSTILE}
    | {"signature": HOSTILE, "problem": _BOTH, "answer": _BOTH}
)
# Not the words of ours, which are few and checked, and not what the attempt met, which is ours.
_WRITES: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("operator SET agent = :it", {"it": _SHORT}),
    ("ticket SET details = details || CAST(:it AS jsonb)", {"it": _DATA}),
    ("ticket SET ticket_id = :it || id WHERE id % 7 = 0", {"it": "<script>/\"'\u202e"}),
    ("ticket SET draw = :it, cancelled_by = :it", {"it": HOSTILE}),
    ("ticket_event SET data = data || CAST(:it AS jsonb)", {"it": _DATA}),
    ("ticket_event SET message = :it", {"it": _BOTH}),
    ("ticket_event SET event_id = :it || event_id", {"it": "<img src=x>\"'"}),
    ("notice SET body = :it, path = '/\"><script>'", {"it": _BODY}),
    ("notice SET answer = :it WHERE took_ms IS NOT NULL", {"it": _BOTH}),
    (
        "notice SET remarks = CAST(:it AS jsonb) WHERE took_ms IS NOT NULL",
        {"it": json.dumps({HOSTILE: _BOTH})},
    ),
    ("notice SET reason = :it WHERE ended = 'dead'", {"it": _BOTH}),
    ("delivery_attempt SET answer = :it", {"it": _BOTH + "x" * 65_000}),
    ("delivery_attempt SET problem = :it", {"it": HOSTILE}),
    ("delivery_attempt SET response_headers = CAST(:it AS jsonb)", {"it": _HEADERS}),
    ("delivery_attempt SET remarks = CAST(:it AS jsonb)", {"it": json.dumps({HOSTILE: _BOTH})}),
    ("intervention SET why = :it, who = :who", {"it": _BOTH, "who": _SHORT}),
    ("intervention SET did = 'operator_pinged', facts = CAST(:it AS jsonb)", {"it": _PING}),
    ("job SET why = :it, who = :who", {"it": _BOTH, "who": _SHORT}),
    ("job SET state = 'stopped', message = :it WHERE id % 3 = 0", {"it": _BOTH}),
    ("job SET reasons = CAST(:it AS jsonb)", {"it": json.dumps({_BOTH: 5})}),
    (
        "job SET arguments = arguments || CAST(:it AS jsonb)",
        {"it": json.dumps({"answer": _BOTH, "reason": _BOTH})},
    ),
    ("rejected_input SET raw = :it", {"it": f'{{"s": "\\ud800", "x": {_BODY}}}'.encode()}),
    ("rejected_input SET raw = :it WHERE id % 2 = 0", {"it": b"\xff\x00<script>" + _BOTH.encode()}),
    ("rejected_input SET message = :it", {"it": _BOTH}),
    (
        "rejected_input SET kind = :it, operator = :it, ticket_id = :it, event_id = :it",
        {"it": _SHORT},
    ),
    ("circuit SET reason = :it", {"it": _BOTH}),
)


def write_hostile_rows(engine: Engine) -> None:
    """Overwrite what others stored, in every row of a populated database."""
    with engine.begin() as connection:
        for what, parameters in _WRITES:
            written = connection.execute(text(f"UPDATE {what}"), parameters)
            assert written.rowcount, what
