"""What each response to a notice does, as OpenAPI describes responses."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from models.notices.responses import GAVE_UP_WAITING, LATER, LOCKED_OUT
from models.outgoing.wallet_schemas import wallet_response_schema
from models.vocabulary import SENT_ONCE, Action

Responses = dict[str, dict[str, Any]]

_RETRY_AFTER: Final = {
    "Retry-After": {
        "description": "Seconds, or a date: the next attempt waits as long, up to 2 h.",
        "schema": {"type": "string"},
    }
}
TAKEN: Final = "You have it. The body is not read, unless your terms ask for something in it."
REFUSED: Final = (
    "You refuse it, and would refuse the same again: nothing more is sent on this ticket until a"
    " person has decided. Many in a row stop everything that is sent to you."
)
AGAIN: Final = "It comes again after a pause, with the same key and body."
WAITED: Final = (
    "You may have it, so nothing is sent on this ticket for at least 10 s. Then it comes again,"
    " with the same key and body."
)
LOCKED: Final = (
    "Our signature or address is not accepted: everything to you waits, and is tried every 15 s."
)
OPENED: Final = "You have debited the player: the ticket is open, or reserved."
UNKNOWN: Final = (
    "What you did is unknown, as it is without a response. It is never sent a second time; a"
    " `ticket_discard` follows, and another one 30 min after you took that."
)
DECLINED: Final = "You have not debited the player. A `ticket_discard` follows all the same."
DISCARDED_LATER: Final = "It comes again every 30 min."


def notice_responses(action: Action) -> Responses:
    """Return what the responses to one action do."""
    if action in SENT_ONCE:
        return _sent_once()
    if action is Action.DISCARD:
        return {"2XX": _said(TAKEN), "default": _said(DISCARDED_LATER, _RETRY_AFTER)}
    return {
        "2XX": _said(TAKEN),
        "3XX": _said(f"A redirect is not followed. {AGAIN}"),
        **_each(LOCKED_OUT, LOCKED),
        **_each(LATER, AGAIN, _RETRY_AFTER),
        **_each(GAVE_UP_WAITING, WAITED),
        "4XX": _said(REFUSED),
        "5XX": _said(AGAIN, _RETRY_AFTER),
    }


def ping_responses() -> Responses:
    """Return what the responses to the ping do."""
    return {"2XX": _said("You respond."), "default": _said("A person looks why.")}


def signed_test_responses() -> Responses:
    """Return what the responses to the signed test do: no more than to show them to a person."""
    return {
        "2XX": _said("Our signature is accepted."),
        **_each(LOCKED_OUT, "Our signature or our address is not accepted."),
        "4XX": _said(
            'With `{"code": 102, "message": "…"}` in the body: you have read the call, so our'
            " signature is accepted."
        ),
        "default": _said("A person looks why. It is not sent again on its own."),
    }


def wallet_responses() -> Responses:
    """Return what the responses to a wallet call do: its code decides, whatever the status."""
    read = {"application/json": {"schema": wallet_response_schema()}}
    return {
        "200": _said("`status.code` in the body is the result.") | {"content": read},
        **_each(LOCKED_OUT, f"With a `status.code` as 200. Without one: {LOCKED}"),
        **_each(GAVE_UP_WAITING, f"With a `status.code` as 200. Without one: {WAITED}"),
        "2XX": _said(f"With a `status.code` as 200. Without one: {WAITED}"),
        "default": _said(f"With a `status.code` as 200. Without one: {AGAIN}", _RETRY_AFTER),
    }


def _sent_once() -> Responses:
    unlike_the_others = (GAVE_UP_WAITING | LATER) & frozenset(range(400, 500))
    return {
        "200": _said(OPENED),
        "2XX": _said(f"{UNKNOWN} Your terms may say that another status counts as 200."),
        "3XX": _said(UNKNOWN),
        **_each(unlike_the_others, UNKNOWN),
        "4XX": _said(DECLINED),
        "5XX": _said(UNKNOWN),
    }


def _each(
    statuses: Iterable[int], text: str, headers: Mapping[str, Any] | None = None
) -> Responses:
    return {str(int(status)): _said(text, headers) for status in sorted(statuses)}


def _said(text: str, headers: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"description": text} | ({"headers": dict(headers)} if headers else {})
