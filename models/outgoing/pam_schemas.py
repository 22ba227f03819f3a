"""JSON Schemas of what a PAM platform is sent: each action, the ping, the signed test."""

import json
from collections.abc import Mapping
from typing import Final

from models.events.format import REQUIRED
from models.notices.pam import FIELDS, PING, TEST_REASON, TEST_TICKET
from models.outgoing.examples import notice_text, signed_test_text
from models.outgoing.fields import Schema, pam_field
from models.vocabulary import Action

SIGNED_TEST: Final = "signed_test"
PING_NAME: Final = "ping"
_IDS: Final = ("operator", "ticket_id")  # `pam.body` puts them first
MEANINGS: Final[Mapping[Action, str]] = {
    Action.CREATE: "The player placed a ticket: debit the price. Sent once, and never again.",
    Action.RESERVE: "A ticket that is not paid yet. Sent once, and never again.",
    Action.UPDATE: "The ticket's facts changed: these replace those of before.",
    Action.WIN: "The ticket won, or was cashed out. It has no amount: pay what you know from"
    " `ticket_create`, or from the last `ticket_update`.",
    Action.LOST: "The ticket lost.",
    Action.VOID: "The ticket is void, in whole or in part: these are its amounts"
    " now. An amount that its publisher did not state is null.",
    Action.REFUND: "The ticket was declined after you had debited it: give back the price.",
    Action.DISCARD: "Your `ticket_create` or `ticket_reserve` did not succeed, or its outcome is"
    " unknown: undo it if you have it. You may have no such ticket, and the discard may come before"
    " a create that is late: remember the id, and refuse that create.",
    Action.ROLLBACK: "The result that you were sent last is withdrawn: undo it, below zero if need"
    " be. The ticket is open again.",
    Action.CLOSED: "The result is final: nothing about this ticket follows.",
}


def notice_schema(action: Action) -> Schema:
    """Return the schema of one action's body."""
    needed = {*_IDS, *REQUIRED.get(action, ())}
    fields = (*_IDS, *FIELDS[action])
    return _envelope(
        action,
        {name: pam_field(name, required=name in needed) for name in fields},
        title=str(action),
        description=MEANINGS[action],
        example=notice_text(action),
    )


def signed_test_schema() -> Schema:
    """Return the schema of the test by which the secret is tried: a marked `ticket_discard`."""
    schema = _envelope(
        Action.DISCARD,
        {name: pam_field(name, required=True) for name in (*_IDS, *FIELDS[Action.DISCARD])},
        title=SIGNED_TEST,
        description="A test of the secret: the discard of a ticket that never was. No money moves,"
        f" and nothing follows. `ticket_id` begins with `{TEST_TICKET}`, and `reason` is"
        f" `{TEST_REASON}`. Answer it as any other discard.",
        example=signed_test_text(),
    )
    data = schema["properties"]["data"]["properties"]
    data["ticket_id"] |= {"pattern": rf"^{TEST_TICKET}[0-9a-f]+$"}
    data["reason"] = {"const": TEST_REASON, "description": data["reason"]["description"]}
    return schema


def ping_schema() -> Schema:
    """Return the schema of the ping, which is not signed."""
    return {
        "title": PING_NAME,
        "description": "Asks whether you respond. Neither signed nor about a ticket: answer 200.",
        "type": "object",
        "properties": {"action": {"const": json.loads(PING)["action"]}},
        "required": ["action"],
        "additionalProperties": False,
        "examples": [json.loads(PING)],
    }


def pam_schemas() -> dict[str, Schema]:
    """Return all of them by their names."""
    return {
        **{str(action): notice_schema(action) for action in FIELDS},
        SIGNED_TEST: signed_test_schema(),
        PING_NAME: ping_schema(),
    }


def _envelope(
    action: Action, fields: Mapping[str, Schema], *, title: str, description: str, example: str
) -> Schema:
    return {
        "title": title,
        "description": description,
        "type": "object",
        "properties": {
            "action": {"const": str(action)},
            "data": {
                "type": "object",
                "properties": dict(fields),
                "required": list(fields),
                "additionalProperties": False,
            },
        },
        "required": ["action", "data"],
        "additionalProperties": False,
        "examples": [json.loads(example)],
    }
