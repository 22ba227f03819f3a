"""JSON Schemas of the calls to a seamless wallet, and of the response that we read."""

import json
from collections.abc import Mapping
from typing import Final

from models.notices.responses import ALREADY_DONE, DONE, REFUSALS
from models.notices.seamless import BALANCE, CANCEL, FIELDS, PAYOUT, UNKNOWN_PLAYER
from models.outgoing.examples import wallet_answer, wallet_text
from models.outgoing.fields import WALLET_FIELDS, Schema

MEANINGS: Final[Mapping[str, str]] = {
    PAYOUT: "Credit the amount, which is 0 for a lost ticket.",
    CANCEL: "The bet of this round is void, or refunded: give back the amount.",
    BALANCE: f"Asks whether you respond: the balance of `{UNKNOWN_PLAYER}`, whom no wallet knows."
    " Any response with a `status.code` will do; nothing else is asked with this call.",
}

_DATA: Final[Schema] = {
    "type": "object",
    "description": "Of a success. What is missing or does not fit is noted as a doubt;"
    " the success counts all the same.",
    "properties": {
        "username": {"type": "string"},
        "wallet": {
            "type": "object",
            "properties": {
                "balance": {"type": "number"},
                "lastUpdate": {"type": "string", "format": "date-time"},
            },
        },
        "balance": {
            "type": "object",
            "description": "In currency units; after - before is the amount.",
            "properties": {
                "before": {"type": "number"},
                "after": {"type": "number"},
            },
        },
        "refId": {"type": "string", "description": "The call's `transactionId`."},
    },
}


def wallet_name(path: str) -> str:
    """Return the name of a call: `wallet_payout`."""
    return f"wallet_{path.removeprefix('/')}"


def wallet_call_schema(path: str) -> Schema:
    """Return the schema of the body of the call to *path* behind the partner's URL."""
    fields = FIELDS[path]
    return {
        "title": wallet_name(path),
        "description": f"POST {path}. {MEANINGS[path]}",
        "type": "object",
        "properties": {name: WALLET_FIELDS[name] for name in fields},
        "required": list(fields),
        "additionalProperties": False,
        "examples": [json.loads(wallet_text(path))],
    }


def wallet_schemas() -> dict[str, Schema]:
    """Return all calls by their names."""
    return {wallet_name(path): wallet_call_schema(path) for path in FIELDS}


def wallet_response_schema() -> Schema:
    """Return the schema of a wallet's response. Other fields are ignored."""
    return {
        "title": "wallet_response",
        "description": "The result of a call is `status.code`, whatever the HTTP status.",
        "type": "object",
        "properties": {
            "status": {
                "type": "object",
                "properties": {
                    "code": {
                        "type": "integer",
                        "minimum": -999_999_999,
                        "maximum": 999_999_999,
                        "description": _describe_codes(),
                    },
                    "message": {"type": "string", "description": "For people."},
                },
                "required": ["code"],
            },
            "data": _DATA,
        },
        "required": ["status"],
        "examples": [
            wallet_answer(),
            {"status": {"code": 908, "message": "Invalid username or token"}},
        ],
    }


def _describe_codes() -> str:
    refusals = ", ".join(f"{code} ({text})" for code, text in REFUSALS.items())
    known = sorted({code for codes in ALREADY_DONE.values() for code in codes})
    return (
        f"{DONE}: done. {refusals}: refused, a person decides. {', '.join(map(str, known))}: done"
        " before, which is a success where an earlier attempt may have arrived. Any other: the call"
        " comes again, with the same `transactionId`."
    )
