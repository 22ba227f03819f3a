"""Columns that recur: timestamps, JSON documents, and words from a closed list."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    BindParameter,
    CheckConstraint,
    Column,
    ColumnElement,
    DateTime,
    Integer,
    Interval,
    Text,
    TypeDecorator,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import SQLModel

# Names follow a rule, so that a migration can name what it changes.
SQLModel.metadata.naming_convention = {
    "ix": "%(table_name)s_%(column_0_N_name)s",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s",
    "fk": "%(table_name)s_%(column_0_name)s_fkey",
    "pk": "%(table_name)s_pkey",
}


def timestamp_column(*, nullable: bool = False, default_now: bool = False) -> Column[Any]:
    """Return a column for a point in time; the database's clock fills it if *default_now*."""
    default = text("now()") if default_now else None
    return Column(DateTime(timezone=True), nullable=nullable, server_default=default)


class Seconds(TypeDecorator[timedelta]):
    """An interval that is stored in seconds alone, as `models.platform.clock.in_seconds` says."""

    impl = Interval
    cache_ok = True

    def bind_expression(self, bindvalue: BindParameter[Any]) -> ColumnElement[Any]:
        """Convert a value to seconds when it is written."""
        return func.make_interval(0, 0, 0, 0, 0, 0, func.extract("epoch", bindvalue))


def json_column(*, nullable: bool = False) -> Column[Any]:
    """Return a column for a JSON object, which is empty rather than NULL unless *nullable*."""
    default = None if nullable else text("'{}'::jsonb")
    return Column(JSONB(none_as_null=True), nullable=nullable, server_default=default)


def word_column(*, nullable: bool = False, default: str | None = None) -> Column[Any]:
    """Return a column for a short text; a `one_of` constraint of its table lists the words."""
    server_default = None if default is None else text(f"'{default}'")
    return Column(Text, nullable=nullable, server_default=server_default)


def counter_column() -> Column[Any]:
    """Return a column for a number that starts at zero and is never negative."""
    return Column(Integer, nullable=False, server_default=text("0"))


def one_of(column: str, words: Iterable[str]) -> CheckConstraint:
    """Require one of *words* in *column* (or NULL, where the column allows it)."""
    listed = ", ".join(f"'{word}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")
