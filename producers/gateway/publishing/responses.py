"""What a publisher is answered."""

from pydantic import BaseModel, Field


class Fixed(BaseModel):
    """An event's id and time as they are on the stream; here, where the publisher left them out."""

    event_id: str
    occurred_at: str


class RefusedLine(BaseModel):
    """A line of NDJSON that is not on the stream, counted from 1, and why."""

    line: int
    error: str


class Accepted(BaseModel):
    """The accepted events are on the stream (with `dry_run`: would be)."""

    accepted: int
    rejected: list[RefusedLine] = Field(
        default_factory=list, description="NDJSON only: the first 1,000 refused lines."
    )
    rejected_count: int = Field(default=0, description="How many lines were refused in all.")
    events: list[Fixed] = Field(
        default_factory=list, description="JSON only: the accepted events, in their order."
    )
