"""A ticket in flight as `slipway import` reads it: one JSON object, nothing unknown in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from models.events.amounts import amounts_of
from models.events.field_names import KnownNames, refuse_near_misses
from models.events.format import DATA_NAMES, EventData, Id, Timestamp
from models.events.messages import check_normal, check_storable, describe_problems, quote
from models.events.refusal import Refusal
from models.platform.timestamps import TIMESTAMP_RULE, parse_timestamp
from models.vocabulary import Reason, Result, Status

_DATA: Final = TypeAdapter(EventData)
_RULES: Final = {
    "taken_at": TIMESTAMP_RULE,
    "settled_at": TIMESTAMP_RULE,
    "state": "must be reserved, open or resulted: what is closed or cancelled is not in flight",
    "result": "must be won, lost, void or refunded",
}


class TicketLine(BaseModel):
    """The line's form. *data*: facts of the slip and of the result, named as in events."""

    model_config = ConfigDict(strict=True, extra="forbid")

    operator: Id
    ticket_id: Id
    state: Literal["reserved", "open", "resulted"]
    result: Literal["won", "lost", "void", "refunded"] | None = None
    taken_at: Timestamp | None = None
    settled_at: Timestamp | None = None
    sequence: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    data: dict[str, Any] = Field(default_factory=dict)


_LINE: Final = KnownNames.of(
    TicketLine.model_fields, elsewhere={name: f"data.{name}" for name in DATA_NAMES.known}
)
_FACTS: Final = KnownNames.of(
    DATA_NAMES.known, elsewhere={name: f"{name}, beside data" for name in TicketLine.model_fields}
)


@dataclass(frozen=True, slots=True)
class ImportedTicket:
    """A ticket as it stands: its partner knows of it, and of its result where it has one."""

    operator: str  # code
    ticket_id: str
    status: Status
    result: Result = Result.PENDING
    taken_at: datetime | None = None  # when the partner took the result; the delay runs from here
    settled_at: datetime | None = None  # when the statement in force truly happened (rule 4)
    amounts: dict[str, Any] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    sequence: int = 0  # the last number told so far (rule 9)


def read_line(document: Mapping[str, Any]) -> ImportedTicket:
    """The ticket that a line's *document* is. Raises Refusal: what is wrong with it."""
    check_storable(document, "the line")
    refuse_near_misses(_LINE.near_misses(document))
    try:
        line = TicketLine.model_validate(document)
    except ValidationError as error:
        raise _refusal_of(error, "") from None
    refuse_near_misses(_FACTS.near_misses(line.data), within="data.")
    whose = {"operator": line.operator, "ticket_id": line.ticket_id}
    for name, value in whose.items():
        if line.data.get(name, value) != value:
            raise Refusal(Reason.INVALID_EVENT, f"data.{name}: is not the line's; leave it out")
    data: Any = {**line.data, **whose}
    try:
        data = _DATA.validate_python(data)
    except ValidationError as error:
        raise _refusal_of(error, "data.") from None
    check_normal(
        {"operator": line.operator, "ticket_id": line.ticket_id}
        | {"data.ticket_code": data.get("ticket_code")}
    )
    settled = line.state == "resulted"
    if settled != (line.result is not None) or settled != (line.taken_at is not None):
        raise Refusal(
            Reason.INVALID_EVENT,
            "a resulted ticket needs result and taken_at, any other has neither; a result that the"
            " partner has not taken is published: import the ticket as open",
        )
    taken_at = _moment("taken_at", line.taken_at)
    named = ("operator", "ticket_id", "reason", "correction", "lottery")  # not of the slip
    return ImportedTicket(
        operator=line.operator,
        ticket_id=line.ticket_id,
        status=Status(line.state),
        result=Result(line.result or Result.PENDING),
        taken_at=taken_at,
        settled_at=_moment("settled_at", line.settled_at) or taken_at,
        amounts=amounts_of(data) if settled else None,
        facts={k: v for k, v in data.items() if v is not None and k not in named},
        sequence=line.sequence,
    )


def _moment(name: str, text: str | None) -> datetime | None:
    try:
        return None if text is None else parse_timestamp(text)
    except ValueError as error:
        raise Refusal(Reason.INVALID_EVENT, f"{name}: {error} (was {quote(text)})") from None


def _refusal_of(error: ValidationError, prefix: str) -> Refusal:
    problems = error.errors(include_url=False, include_context=False)
    said = describe_problems(
        problems, place=lambda loc: f"{prefix}{loc[0]}" if loc else "the line", rules=_RULES
    )
    return Refusal(Reason.INVALID_EVENT, said)
