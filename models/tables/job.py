"""Jobs: long acts of a person, carried on by the sweep in batches."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Column, Identity, Index, text
from sqlmodel import Field, SQLModel

from models.tables.columns import counter_column, json_column, one_of, timestamp_column, word_column
from models.vocabulary import JobState


class StoredJob(SQLModel, table=True):
    """A job: what a person started, how far it is, and how it ended."""

    __tablename__ = "job"
    __table_args__ = (
        # What is to be advanced, in turn.
        Index("job_next", "next_at", "id", postgresql_where=text("ended_at IS NULL")),
        # Retention: what ended long ago.
        Index("job_ended", "ended_at", postgresql_where=text("ended_at IS NOT NULL")),
        # The same act started twice under a client's key is one job.
        Index("job_key", "who", "key", unique=True, postgresql_where=text("key IS NOT NULL")),
        one_of("state", JobState),
        CheckConstraint(
            "(state IN ('waiting', 'running')) = (ended_at IS NULL)", name="end_has_its_time"
        ),
        CheckConstraint("pace > 0", name="pace_positive"),
        # Its row changes with every batch.
        {"postgresql_with": {"fillfactor": "50"}},
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    # Not a closed list: an older sweep leaves the kinds of a newer release alone.
    kind: str = Field(sa_column=word_column())
    arguments: dict[str, Any] = Field(default_factory=dict, sa_column=json_column())
    state: str = Field(sa_column=word_column(default=JobState.WAITING))
    who: str
    why: str
    key: str | None = None  # a client's, unique for each person
    pace: float | None = None  # items per second; None: as fast as the sweep's share allows
    expected: int = Field(sa_column=counter_column())  # items counted at the start
    expected_exact: bool = Field(sa_column_kwargs={"server_default": "true"})  # else "at least"
    done: int = Field(sa_column=counter_column())
    refused: int = Field(sa_column=counter_column())
    unchanged: int = Field(sa_column=counter_column())  # no longer matched at their turn
    reasons: dict[str, Any] = Field(default_factory=dict, sa_column=json_column())  # of refusals
    position: dict[str, Any] | None = Field(default=None, sa_column=json_column(nullable=True))
    message: str | None = None
    created_at: datetime = Field(sa_column=timestamp_column())
    next_at: datetime = Field(sa_column=timestamp_column())  # no batch before it
    started_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    progressed_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    ended_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    # Since then each batch has met an error of the database; empty after one that did not.
    failing_since: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
