"""What can be asked of the partner, and told to it, over HTTP: paths that start with `/_`.

GET /_ledger?after=N&limit=N&ticket_id=ID   entries as JSON lines; &format=json for an array
GET /_verdict?close_delay=SECONDS           every ticket's sequence judged so far
GET /_wallet                                a seamless wallet's accounts
GET, POST, DELETE /_behave                  the rules in force; add one; clear them
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from producers.simulation.partner.behaviour import Respond, Script
from producers.simulation.partner.behaviour_names import BehaviourOrder
from producers.simulation.partner.call import Speech
from producers.simulation.partner.http import ReceivedRequest
from producers.simulation.partner.ledger import Ledger, LedgerEntry
from producers.simulation.partner.wallet import Wallet
from producers.simulation.verdict import judge_all

CONTROL_ENTRIES_MAX = 10_000


class _Pages(BaseModel):
    model_config = ConfigDict(extra="forbid")

    after: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=CONTROL_ENTRIES_MAX)] = CONTROL_ENTRIES_MAX
    ticket_id: str | None = None
    format: Annotated[str, Field(pattern="^(lines|json)$")] = "lines"


class _BehaviourTerms(BaseModel):
    model_config = ConfigDict(extra="forbid")

    close_delay: Annotated[float, Field(ge=0)] = 86_400.0
    complete: bool = False


def answer_control(
    ledger: Ledger, script: Script, speech: Speech, request: ReceivedRequest
) -> Respond:
    """Return the answer to a request whose path starts with `/_`."""
    try:
        return _route(ledger, script, speech, request)
    except ValidationError as flaw:
        words = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in flaw.errors())
    except ValueError as flaw:
        words = str(flaw)
    return _json({"code": 422, "message": words}, status=422)


def _route(ledger: Ledger, script: Script, speech: Speech, request: ReceivedRequest) -> Respond:
    target = urlsplit(request.target)
    query = dict(parse_qsl(target.query))
    match request.method, target.path:
        case "GET", "/_ledger":
            return _pages(ledger, _Pages.model_validate(query))
        case "GET", "/_wallet" if isinstance(speech, Wallet):
            return _json(
                {
                    "accounts": {name: str(sum_) for name, sum_ in speech.balances.items()},
                    "transactions": speech.transactions,
                }
            )
        case "GET", "/_verdict" if not isinstance(speech, Wallet):  # whose calls tell no story
            return _verdict(ledger, _BehaviourTerms.model_validate(query))
        case "GET", "/_behave":
            return _json([repr(rule) for rule in script.rules()])
        case "POST", "/_behave":
            script.add(BehaviourOrder.model_validate_json(request.body).rule())
        case "DELETE", "/_behave":
            script.clear()
        case _:
            words = f"{request.method} {target.path} is not known; see producers/README.md"
            return _json({"code": 404, "message": words}, status=404)
    return _json({"rules": len(script.rules())})


def _pages(ledger: Ledger, pages: _Pages) -> Respond:
    entries: Sequence[LedgerEntry] = [
        entry
        for entry in ledger.entries(after=pages.after)
        if pages.ticket_id in {None, entry.ticket_id}
    ][: pages.limit]
    if pages.format == "json":
        return _json([entry.as_json() for entry in entries])
    lines = b"".join(json.dumps(entry.as_json()).encode() + b"\n" for entry in entries)
    return Respond(body=lines, content_type="application/x-ndjson")


def _verdict(ledger: Ledger, terms: _BehaviourTerms) -> Respond:
    verdict = judge_all(
        ledger.entries(),
        close_delay=timedelta(seconds=terms.close_delay),
        complete=terms.complete,
    )
    return _json({**asdict(verdict), "legal": verdict.legal, "entries_forgotten": ledger.forgotten})


def _json(value: object, *, status: int = 200) -> Respond:
    return Respond(status, body=json.dumps(value).encode() + b"\n")
