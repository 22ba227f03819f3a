"""Acts that a client may ask for again: the key it sends decides whether they are done again."""

from models.idempotency.responses import (
    IdempotencyKeyInvalid,
    IdempotencyKeyReused,
    KeyedRequest,
    RequestInProgress,
    StoredResponse,
    keep_response,
    kept_response,
    keyed_request,
    remove_old_responses,
)

__all__ = [
    "IdempotencyKeyInvalid",
    "IdempotencyKeyReused",
    "KeyedRequest",
    "RequestInProgress",
    "StoredResponse",
    "keep_response",
    "kept_response",
    "keyed_request",
    "remove_old_responses",
]
