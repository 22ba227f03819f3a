"""Times in requests: RFC 3339 with an offset, as `openapi.json` describes them."""

from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator


def _is_written_out(given: object) -> object:
    """Refuse numbers, and texts of digits: pydantic would read them as seconds since 1970."""
    if isinstance(given, str) and given[4:5] == "-":
        return given
    raise ValueError("write the time like 2026-01-31T12:00:00Z")


GivenTime = Annotated[AwareDatetime, BeforeValidator(_is_written_out)]
