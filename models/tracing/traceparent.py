"""The text by which W3C Trace Context names a trace: `00-<trace id>-<parent span>-<flags>`.

A trace is a convenience of operations: a malformed one is dropped with a word, and the event that
carried it counts as it would without.
"""

import re
from typing import Final

from models.tracing.dropped import DROPPED

TRACEPARENT_NAME: Final = "traceparent"  # a header, an attribute, a field: one name everywhere
LENGTH: Final = 55
LENGTH_MAX: Final = 512  # of a later version, which may say more behind what is read
SAMPLED: Final = 0x01
_KNOWN_FLAGS: Final = 0x03  # sampled, and (level 2) that the trace id is random
# All zeros names nothing, and the version ff is forbidden.
_TRACEPARENT: Final = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<span>(?!0{16})[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?",
    re.DOTALL,
)
_FIRST_VERSION: Final = "00"
_FORM: Final = "a traceparent is 00-<32 hexadecimal digits>-<16>-<2>, in lower case, not all zeros"


def read_traceparent(given: object) -> str | None:
    """Return *given* in the form that is stored, or None if it is absent or malformed.

    It is text or bytes from outside. Of a later version what version 00 knows is read, as the
    standard says. A malformed one is counted, and reported from time to time.
    """
    if given is None:
        return None
    text = given.decode("latin-1") if isinstance(given, bytes) else given
    if not isinstance(text, str):
        DROPPED.add(f"it is no text; {_FORM}")
        return None
    match = _TRACEPARENT.fullmatch(text) if len(text) <= LENGTH_MAX else None
    if match is None or (match["more"] is not None and match["version"] == _FIRST_VERSION):
        # What stands there instead may be anything, even a secret: it is not repeated.
        DROPPED.add(f"it has {len(text)} characters; {_FORM}")
        return None
    flags = int(match["flags"], 16) & _KNOWN_FLAGS
    return f"{_FIRST_VERSION}-{match['trace']}-{match['span']}-{flags:02x}"


def trace_id_of(traceparent: str | None) -> str | None:
    """Return the id of the trace that a stored *traceparent* names."""
    return None if traceparent is None else traceparent[3:35]


def is_sampled(traceparent: str | None) -> bool:
    """Return whether a stored *traceparent* says that spans of its trace are recorded."""
    return traceparent is not None and bool(int(traceparent[-2:], 16) & SAMPLED)


def log_fields(traceparent: str | None) -> dict[str, str]:
    """Return what a log line says of the trace: `trace_id`, or nothing."""
    return {} if traceparent is None else {"trace_id": traceparent[3:35]}
