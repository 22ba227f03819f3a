"""The trace of a request: the header `traceparent` of W3C Trace Context.

It decides nothing about the request: a malformed one is dropped, with a word.
"""

from fastapi import Request

from models.tracing.traceparent import TRACEPARENT_NAME, read_traceparent

_SEVERAL = ", "  # as HTTP joins headers of one name: no traceparent then, says the standard


def traceparent_of(request: Request) -> str | None:
    """Return the trace that *request* belongs to, or None."""
    given = request.headers.getlist(TRACEPARENT_NAME)
    return read_traceparent(_SEVERAL.join(given)) if given else None
