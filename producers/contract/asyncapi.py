"""The stream, the Celery queue and the notices, as AsyncAPI 3 describes them.

Its schemas are the published ones, for which draft 7 of JSON Schema is enough: AsyncAPI's
own form of schemas is based on it.
"""

from typing import Any, Final

from models.events.stream_contract import (
    EVENT_BYTES_MAX,
    EVENT_FIELD,
    LOTTERY_TYPE,
    STREAM,
    TRACEPARENT_FIELD,
)
from models.outgoing.wallet_schemas import wallet_response_schema
from models.outgoing.webhooks import PAM_TAG, VERSION, WALLET_TAG, webhooks
from models.vocabulary import INBOUND
from producers.publisher.schemas import cloud_event_schema, event_schema, lottery_schema

QUEUE: Final = "tickets"  # Celery's; the intake drains it to the stream
_BESIDE_DATA: Final = ("occurred_at", "sequence")  # a task's arguments are the fields of `data`
_FACTS: Final = {"operator": "acme", "ticket_id": "1330556611374148608"}
_EXAMPLE: Final = {
    "event_id": "7f2",
    "occurred_at": "2026-11-01T11:00:00Z",
    "action": "ticket_win",
    "data": _FACTS,
}
_ARGUMENTS: Final = {"occurred_at": _EXAMPLE["occurred_at"], **_FACTS}
_TASK: Final = {
    "headers": {"task": _EXAMPLE["action"], "id": _EXAMPLE["event_id"]},
    "payload": [[], _ARGUMENTS, {}],
}
_CLOUD_EVENT: Final = {
    "specversion": "1.0",
    "id": _EXAMPLE["event_id"],
    "source": "https://acme.example/backend",
    "type": f"example.acme.{_EXAMPLE['action']}",
    "subject": _FACTS["ticket_id"],
    "time": _EXAMPLE["occurred_at"],
    "datacontenttype": "application/json",
    "data": _FACTS,
}
_RESPONSE: Final = "response"
_CHANNEL_OF: Final = {PAM_TAG: "notices", WALLET_TAG: "walletCalls"}
_HTTP: Final = {"http": {"bindingVersion": "0.3.0"}}
_POST: Final = {"http": {"method": "POST", "bindingVersion": "0.3.0"}}


def asyncapi() -> dict[str, Any]:
    """Return the document."""
    sent = {name: hook["post"] for name, hook in webhooks().items()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Slipway",
            "version": VERSION,
            "description": "What publishers add to the stream or the queue, and what partners are"
            " sent about their tickets. Over HTTP: openapi.json and webhooks.openapi.json.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "redis": {
                "host": "{host}:{port}",
                "protocol": "redis",
                "description": "The stream and the queue; TLS and a user as its operators say.",
                "variables": {"host": {"default": "127.0.0.1"}, "port": {"default": "6379"}},
            },
            "partner": {
                "host": "{host}",
                "protocol": "https",
                "description": "The partner's URL, as it was agreed on.",
                "variables": {"host": {"default": "partner.example.com"}},
            },
        },
        "channels": {"stream": _stream(), "queue": _queue(), **_partner_channels(sent)},
        "operations": {
            "readStream": _operation("receive", "stream", "Read in order; an id counts once."),
            "drainQueue": _operation("receive", "queue", "Moved to the stream, atomically."),
            "sendNotice": _call("notices", sent, PAM_TAG),
            "callWallet": _call("walletCalls", sent, WALLET_TAG),
        },
    }


def _stream() -> dict[str, Any]:
    field = EVENT_FIELD.decode()
    return {
        "address": STREAM,
        "title": "The stream",
        "description": f"A Redis stream: XADD {STREAM} * {field} '<json>', of at most"
        f" {EVENT_BYTES_MAX // 1024} KiB. A lottery's message has two fields more, `type` with"
        f" `{LOTTERY_TYPE.decode()}` and `operator` with its code."
        f" `{TRACEPARENT_FIELD.decode()}`, beside any `event`, names the trace it belongs to"
        " (W3C Trace Context).",
        "servers": [{"$ref": "#/servers/redis"}],
        "messages": {
            "event": {
                "summary": f"The field `{field}` of an entry.",
                "payload": event_schema(alone=False),
                "examples": [{"payload": _EXAMPLE}],
            },
            "cloudEvent": {
                "summary": f"The field `{field}` of an entry, as a CloudEvent 1.0.",
                "payload": cloud_event_schema(alone=False),
                "examples": [{"payload": _CLOUD_EVENT}],
            },
            "lottery": {
                "summary": f"The field `{field}` of an entry whose `type` is"
                f" `{LOTTERY_TYPE.decode()}`.",
                "payload": lottery_schema(alone=False),
            },
        },
    }


def _queue() -> dict[str, Any]:
    event = event_schema(alone=False)
    beside = {name: event["properties"][name] for name in _BESIDE_DATA}
    arguments = event["properties"]["data"]
    arguments = arguments | {"properties": arguments["properties"] | beside}
    del arguments["propertyNames"]  # it holds for `data`, without what stands beside it
    trace = {"traceparent": event["properties"]["traceparent"]}
    return {
        "address": QUEUE,
        "title": "The Celery queue",
        "description": "A list of Celery or kombu on Redis. Version 1 of Celery's message protocol"
        " is read, too.",
        "servers": [{"$ref": "#/servers/redis"}],
        "messages": {
            "task": {
                "summary": "A task named after the action, as Celery's protocol 2 writes it.",
                "headers": {
                    "type": "object",
                    "properties": {
                        "task": {"enum": [str(action) for action in INBOUND]},
                        "id": event["properties"]["event_id"],
                        **trace,
                    },
                    "required": ["task"],
                },
                "payload": {
                    "type": "array",
                    "description": "args, kwargs, embed; nothing may follow the task.",
                    "items": [{"type": "array", "maxItems": 1}, arguments, {"type": "object"}],
                    "minItems": 3,
                    "maxItems": 3,
                },
                "examples": [_TASK],
            },
            "event": {
                "summary": "A message of kombu that is no task: the event itself.",
                "headers": {"type": "object", "properties": trace},
                "payload": event,
                "examples": [{"payload": _EXAMPLE}],
            },
            "cloudEvent": {
                "summary": "The same, as a CloudEvent 1.0.",
                "payload": cloud_event_schema(alone=False),
                "examples": [{"payload": _CLOUD_EVENT}],
            },
        },
    }


def _partner_channels(sent: dict[str, Any]) -> dict[str, Any]:
    channels: dict[str, Any] = {
        "notices": {
            "address": "/",
            "title": "A PAM platform's URL",
            "description": "One URL takes every action; its path is the partner's.",
        },
        "walletCalls": {
            "address": "/{call}",
            "title": "A seamless wallet's URL",
            "description": "`/payout`, `/cancel` and `/balance` behind the partner's URL.",
            "parameters": {"call": {"enum": ["payout", "cancel", "balance"]}},
        },
    }
    for channel in channels.values():
        channel["servers"] = [{"$ref": "#/servers/partner"}]
        channel["messages"] = {_RESPONSE: {"summary": "What each does: webhooks.openapi.json."}}
    channels["walletCalls"]["messages"][_RESPONSE]["payload"] = wallet_response_schema()
    for name, operation in sent.items():
        channel = channels[_CHANNEL_OF[operation["tags"][0]]]
        channel["messages"][name] = _message(operation)
    return channels


def _message(operation: dict[str, Any]) -> dict[str, Any]:
    headers = operation["parameters"]
    (content,) = operation["requestBody"]["content"].values()
    return {
        "name": operation["operationId"],
        "summary": operation["description"],
        "headers": {
            "type": "object",
            "properties": {
                header["name"]: header["schema"] | {"description": header["description"]}
                for header in headers
            },
            "required": [header["name"] for header in headers if header["required"]],
        },
        "payload": content["schema"],
        "examples": [
            {
                "headers": {header["name"]: header["example"] for header in headers},
                "payload": content["example"],
            }
        ],
        "bindings": _HTTP,
    }


def _operation(action: str, channel: str, summary: str) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
    }


def _call(channel: str, sent: dict[str, Any], tag: str) -> dict[str, Any]:
    messages = f"#/channels/{channel}/messages"
    named = [name for name, operation in sent.items() if operation["tags"] == [tag]]
    summary = "One call at a time for each ticket, in order; until it is taken."
    return _operation("send", channel, summary) | {
        "messages": [{"$ref": f"{messages}/{name}"} for name in named],
        "bindings": _POST,
        "reply": {
            "channel": {"$ref": f"#/channels/{channel}"},
            "messages": [{"$ref": f"{messages}/{_RESPONSE}"}],
        },
    }
