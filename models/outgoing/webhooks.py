"""What partners are sent, as OpenAPI 3.1 describes webhooks: one for each action or call."""

import json
from collections.abc import Mapping
from typing import Any, Final

from models.notices.key import key_of
from models.notices.pam import FIELDS
from models.notices.request import (
    FIXED_HEADERS,
    SEAMLESS_SIGNATURE_HEADER,
    OutgoingRequest,
    pam_request,
    ping_request,
    seamless_request,
    with_trace,
)
from models.notices.seamless import BALANCE
from models.notices.seamless import FIELDS as WALLET_CALLS
from models.outgoing import examples
from models.outgoing.fields import Schema
from models.outgoing.pam_schemas import (
    PING_NAME,
    SIGNED_TEST,
    notice_schema,
    ping_schema,
    signed_test_schema,
)
from models.outgoing.responses import (
    Responses,
    notice_responses,
    ping_responses,
    signed_test_responses,
    wallet_responses,
)
from models.outgoing.wallet_schemas import wallet_call_schema, wallet_name
from models.platform.signing import sign, sign_seamless
from models.tracing.traceparent import TRACEPARENT_NAME
from models.vocabulary import SENT_ONCE, Action

VERSION: Final = "1.0.0"  # of the contract: a change that partners may notice raises it
PAM_TAG: Final = "PAM notices"
WALLET_TAG: Final = "seamless wallet calls"
_BEFORE_A_RESULT: Final = SENT_ONCE | {Action.DISCARD}
_IN_ANY_BODY: Final = frozenset({"Content-Type"})  # OpenAPI wants it nowhere else
_ONLY_IF_ASKED_FOR: Final = frozenset({SEAMLESS_SIGNATURE_HEADER, TRACEPARENT_NAME})
_MEANINGS: Final[Mapping[str, str]] = {
    "timestamp": "Unix time in seconds, new with each attempt. Refuse what is more than 300 s from"
    " your clock.",
    "signature": "Lower-case hexadecimal HMAC-SHA256, key: our common secret, over the digits of"
    " `timestamp` and then the body, byte for byte as it arrives. New with each attempt.",
    "Idempotency-Key": "Identifies the notice: operator, ticket, action, generation. A notice that"
    " comes again has the same one, and no other notice has it. Compare it as a whole.",
    SEAMLESS_SIGNATURE_HEADER: "Only if you ask for signed calls. Base64 of 64 bytes of"
    " PBKDF2-HMAC-SHA512 in 1000 rounds; password: the body, byte for byte; salt: our common"
    " secret.",
    TRACEPARENT_NAME: "Only if you ask for it, and of what belongs to a trace: our span of this"
    " attempt, or what the event's publisher sent, by W3C Trace Context. No signature covers it;"
    " nothing may depend on it.",
    "User-Agent": "This one, with the address of who answers for it, or the one in your terms.",
    "Accept-Encoding": "Answer without compression.",
}
_ABOUT: Final = (
    "What Slipway sends to its partners. A PAM platform gets every action as a POST to its one URL;"
    " a seamless wallet gets `/payout` and `/cancel` behind its URL. Bodies are compact JSON in"
    " UTF-8, with the fields in the order given here; a field without a value is null. An operator"
    " may have agreed on terms of its own: which statuses mean that it has a notice, what such a"
    " response must hold, which actions it wants, headers and credentials of its gateway."
)


def webhooks() -> dict[str, Any]:
    """Return all webhooks by their names."""
    named = {str(action): _notice(action) for action in FIELDS}
    tested = _signed_request(examples.signed_test_text(), Action.DISCARD, generation=1)
    for name, schema, request, responses in (
        (SIGNED_TEST, signed_test_schema(), tested, signed_test_responses()),
        (PING_NAME, ping_schema(), ping_request(""), ping_responses()),
    ):
        named[name] = _webhook(schema, request, responses, tag=PAM_TAG)
    return named | {wallet_name(path): _wallet(path) for path in WALLET_CALLS}


def webhooks_document() -> dict[str, Any]:
    """Return a whole OpenAPI document of the webhooks alone."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Slipway: what partners receive", "version": VERSION}
        | {"description": _ABOUT},
        "webhooks": webhooks(),
    }


def _notice(action: Action) -> dict[str, Any]:
    request = _signed_request(
        examples.notice_text(action), action, generation=0 if action in _BEFORE_A_RESULT else 1
    )
    return _webhook(
        notice_schema(action),
        with_trace(request, examples.TRACEPARENT),
        notice_responses(action),
        tag=PAM_TAG,
    )


def _wallet(path: str) -> dict[str, Any]:
    body = examples.wallet_text(path).encode()
    signature = sign_seamless(body, secret=examples.SECRET)
    request = seamless_request("", path, body, signature=signature)
    if path != BALANCE:  # asked for no ticket
        request = with_trace(request, examples.TRACEPARENT)
    return _webhook(wallet_call_schema(path), request, wallet_responses(), tag=WALLET_TAG)


def _webhook(
    schema: Schema, request: OutgoingRequest, responses: Responses, *, tag: str
) -> dict[str, Any]:
    headers = {**request.headers, "User-Agent": examples.USER_AGENT, **FIXED_HEADERS}
    return {
        "post": {
            "tags": [tag],
            "operationId": schema["title"],
            "summary": schema["title"],
            "description": schema["description"],
            "parameters": [
                {
                    "name": name,
                    "in": "header",
                    "required": name not in _ONLY_IF_ASKED_FOR,
                    "description": _MEANINGS[name],
                    "schema": {"type": "string"},
                    "example": value,
                }
                for name, value in headers.items()
                if name not in _IN_ANY_BODY
            ],
            "requestBody": {
                "required": True,
                "content": {
                    request.headers["Content-Type"]: {
                        "schema": schema,
                        "example": json.loads(request.body),
                    }
                },
            },
            "responses": responses,
        }
    }


def _signed_request(text: str, action: Action, *, generation: int) -> OutgoingRequest:
    """Sign as the deliverer does."""
    body = text.encode()
    return pam_request(
        "",
        body,
        timestamp=str(examples.TIMESTAMP),
        signature=sign(body, timestamp=examples.TIMESTAMP, secret=examples.SECRET),
        idempotency_key=key_of(
            examples.OPERATOR, json.loads(body)["data"]["ticket_id"], action, generation
        ),
    )
