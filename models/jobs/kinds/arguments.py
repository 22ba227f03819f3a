"""The arguments of jobs that work off what a selection or a list of ids names.

They are a JSON object: what a person chose, and `matched_until`, which is added at the start: what
begins to match later is not part of the job.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Final, Self, TypeVar

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    StringConstraints,
    ValidationError,
    model_validator,
)

from models.jobs.values import Job, StepResult
from models.platform.errors import InvalidError
from models.platform.timestamps import format_timestamp
from models.triage.values import Selection
from models.vocabulary import Action

IDS_MAX: Final = 1000
TEXT_MAX: Final = 255

Text = Annotated[str, StringConstraints(min_length=1, max_length=TEXT_MAX)]
Chosen = TypeVar("Chosen", bound="SelectedItems")


class SelectedItems(BaseModel):
    """What a job is to work off: all that matches every value given."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)

    operator: Text | None = None
    ticket_id: Text | None = None
    action: Action | None = None
    reason: Text | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    matched_until: AwareDatetime | None = None

    @model_validator(mode="after")
    def _ids_or_filters(self) -> Self:
        filters = set(SelectedItems.model_fields) - {"operator", "ticket_id", "matched_until"}
        if self.names_items and any(getattr(self, name) is not None for name in filters):
            raise ValueError("ids cannot be combined with action, reason, since or until")
        return self

    @property
    def names_items(self) -> bool:
        """Whether the items are named one by one."""
        return False

    @property
    def ends_at(self) -> datetime | None:
        """The time after which nothing that happened belongs to the job."""
        ends = [end for end in (self.until, self.matched_until) if end is not None]
        return min(ends) if ends else None

    @property
    def selection(self) -> Selection:
        """What matches, up to `ends_at`."""
        return Selection(
            operator=self.operator,
            ticket_id=self.ticket_id,
            action=None if self.action is None else self.action.value,
            reason=self.reason,
            since=self.since,
            until=self.ends_at,
        )


def read(model: type[Chosen], arguments: Mapping[str, Any]) -> Chosen:
    """Return the arguments as values. Raises InvalidError, which names what is wrong."""
    try:
        return model.model_validate(dict(arguments))
    except ValidationError as refusal:
        first = refusal.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidError(f"{where}: {first['msg']}" if where else first["msg"]) from None


def with_end(
    model: type[SelectedItems], arguments: Mapping[str, Any], now: datetime
) -> Mapping[str, Any]:
    """Check the arguments of a job that starts now, and add where its items end."""
    if "matched_until" in arguments:
        raise InvalidError("matched_until: it is set when the job starts")
    read(model, arguments)
    return {**arguments, "matched_until": format_timestamp(now)}


def with_missing(job: Job, result: StepResult) -> StepResult:
    """Count as unchanged, at the end, what matched at the start and no longer did at its turn."""
    if not result.finished or not job.expected.exact:
        return result
    missing = job.expected.number - job.handled - result.handled
    return replace(result, unchanged=result.unchanged + max(0, missing))
