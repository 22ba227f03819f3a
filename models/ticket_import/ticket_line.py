"""A running ticket as `slipway import` reads it: one JSON object without unknown fields."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from models.events.amounts import amounts_of
from models.events.field_names import KnownNames, refuse_near_misses
from models.events.format import DATA_NAMES, EventData, Id, Timestamp
from models.events.messages import check_nfc, check_storable
from models.events.refusal import Refusal
from models.platform.input_problems import describe_problems, quote
from models.platform.timestamps import TIMESTAMP_RULE, parse_timestamp
from models.vocabulary import Reason, Result, Status

_DATA: Final = TypeAdapter(EventData)
_RULES: Final = {
    "taken_at": TIMESTAMP_RULE,
    "settled_at": TIMESTAMP_RULE,
    "state": "must be reserved, open or resulted: a closed or cancelled ticket is not imported",
    "result": "must be won, lost, void or refunded",
}


class TicketLine(BaseModel):
    """The format of a line. *data*: facts of the ticket and of its result, named as in events."""

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
    """A ticket in its current state. Its partner knows it, and its result if it has one."""

    operator: str  # code
    ticket_id: str
    status: Status
    result: Result = Result.PENDING
    taken_at: datetime | None = None  # when the partner accepted the result
    settled_at: datetime | None = None  # when the current result happened (rule 4)
    amounts: dict[str, Any] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    sequence: int = 0  # the last sequence number so far (rule 9)


def read_line(document: Mapping[str, Any]) -> ImportedTicket:
    """Return the ticket that a line's *document* describes. Raises Refusal with its problem."""
    check_storable(document, "the line")
    refuse_near_misses(_LINE.near_misses(document))
    try:
        line = TicketLine.model_validate(document)
    except ValidationError as error:
        raise _refusal_of(error, "") from None
    refuse_near_misses(_FACTS.near_misses(line.data), within="data.")
    key = {"operator": line.operator, "ticket_id": line.ticket_id}
    for name, value in key.items():
        if line.data.get(name, value) != value:
            raise Refusal(
                Reason.INVALID_EVENT, f"data.{name}: differs from the line's; leave it out"
            )
    data: Any = {**line.data, **key}
    try:
        data = _DATA.validate_python(data)
    except ValidationError as error:
        raise _refusal_of(error, "data.") from None
    check_nfc({**key, "data.ticket_code": data.get("ticket_code")})
    settled = line.state == "resulted"
    if settled != (line.result is not None) or settled != (line.taken_at is not None):
        raise Refusal(
            Reason.INVALID_EVENT,
            "a resulted ticket needs result and taken_at, any other has neither; for a result that"
            " the partner has not accepted, import the ticket as open and publish the result",
        )
    taken_at = _time("taken_at", line.taken_at)
    not_of_ticket = (*key, "reason", "correction", "lottery")
    return ImportedTicket(
        operator=line.operator,
        ticket_id=line.ticket_id,
        status=Status(line.state),
        result=Result(line.result or Result.PENDING),
        taken_at=taken_at,
        settled_at=_time("settled_at", line.settled_at) or taken_at,
        amounts=amounts_of(data) if settled else None,
        facts={
            name: value
            for name, value in data.items()
            if value is not None and name not in not_of_ticket
        },
        sequence=line.sequence,
    )


def _time(name: str, text: str | None) -> datetime | None:
    try:
        return None if text is None else parse_timestamp(text)
    except ValueError as error:
        raise Refusal(Reason.INVALID_EVENT, f"{name}: {error} (was {quote(text)})") from None


def _refusal_of(error: ValidationError, prefix: str) -> Refusal:
    problems = error.errors(include_url=False, include_context=False)
    message = describe_problems(
        problems, place=lambda loc: f"{prefix}{loc[0]}" if loc else "the line", rules=_RULES
    )
    return Refusal(Reason.INVALID_EVENT, message)
