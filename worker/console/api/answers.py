"""What a response holds: JSON, with personal data masked for a viewer, and pages of lists."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Generic, TypeVar

from annotated_types import Ge, Le
from fastapi import Path, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from models.events.kept_data import kept_data
from models.platform.json_values import as_json_value
from models.users import Role, TokenHolder
from worker.console.cursors import write_cursor
from worker.console.display.personal import MASK, mask_personal, sees_personal

T = TypeVar("T")

ID_MAX: Final = 2**63 - 1
RowId = Annotated[int, Path(ge=1, le=ID_MAX)]
Limit = Annotated[int, Query(ge=1, le=200, description="Lines of a page.")]
After = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=1000,
        description="`next` of the page before.",
    ),
]
Code = Annotated[str | None, Query(min_length=1, max_length=64, description="An operator's code.")]
CursorId = Annotated[int, Ge(0), Le(ID_MAX)]
Id = Annotated[str | None, Query(min_length=1, max_length=1000)]
Text = Annotated[str | None, Query(min_length=1, max_length=255)]

# Free texts in which a partner, a publisher or a check may have written players and amounts.
_FREE_TEXTS: Final = frozenset(
    {"answer", "beginning", "body", "circuit_reason", "curl", "message", "problem", "raw", "sent"}
)
# What publishers sent: a field that is unknown may hold anything.
_PUBLISHED: Final = frozenset({"data", "details"})


class ApiPage(BaseModel, Generic[T]):
    """A part of a list. `next` is the `after` of the next page, null at the end."""

    items: list[T]
    next: str | None


def answer(holder: TokenHolder, result: object) -> JSONResponse:
    """Build the response to a request that reads."""
    document = as_json_value(result)
    if not sees_personal(holder.role):
        document = _without_texts(mask_personal(holder.role, document))
    return JSONResponse(document)


def answer_page(holder: TokenHolder, items: Iterable[object], place: object) -> JSONResponse:
    """Build the response with a page; *place* is that of its last line, None at the end."""
    cursor = None if place is None else write_cursor(place)
    return answer(holder, {"items": list(items), "next": cursor})


def _without_texts(content: Any) -> Any:  # noqa: ANN401 - JSON
    match content:
        case Mapping():
            return {name: _without_text(name, inner) for name, inner in content.items()}
        case list():
            return [_without_texts(inner) for inner in content]
        case _:
            return content


def _without_text(name: str, content: Any) -> Any:  # noqa: ANN401 - JSON
    if content is None:
        return None
    if name in _FREE_TEXTS:
        return MASK
    # What a wallet said it did: players and balances under its own names.
    return {"masked": MASK} if name == "remarks" else _without_fields(name, content)


def _without_fields(name: str, content: Any) -> Any:  # noqa: ANN401 - JSON
    match content:
        case Mapping() if name in _PUBLISHED:
            kept = mask_personal(Role.VIEWER, kept_data(content))
            return {field: kept.get(field, MASK) for field in content}
        case Mapping() if name == "arguments":  # of a job: which texts it looks for
            return _without_texts({**content, **_masks(content, "reason")})
        case Mapping() if name == "reasons":  # of a job: how often each was refused
            return {MASK: sum(content.values())} if content else {}
        case _:
            return _without_texts(content)


def _masks(content: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: MASK for name in names if content.get(name) is not None}
