"""Columns that recur: moments, JSON documents, and words from a closed list."""

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

# Names are spelled out by rule, so that a migration can name what it changes.
SQLModel.metadata.naming_convention = {
    "ix": "%(table_name)s_%(column_0_N_name)s",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s",
    "fk": "%(table_name)s_%(column_0_name)s_fkey",
    "pk": "%(table_name)s_pkey",
}


def moment(*, nullable: bool = False, default_now: bool = False) -> Column[Any]:
    """A point in time with its zone; the database's clock fills it where *default_now*."""
    default = text("now()") if default_now else None
    return Column(DateTime(timezone=True), nullable=nullable, server_default=default)


class Seconds(TypeDecorator[timedelta]):
    """An interval that is stored in seconds alone, as `models.platform.clock.in_seconds` says."""

    impl = Interval
    cache_ok = True

    def bind_expression(self, bindvalue: BindParameter[Any]) -> ColumnElement[Any]:
        """Convert a value to seconds when it is written."""
        return func.make_interval(0, 0, 0, 0, 0, 0, func.extract("epoch", bindvalue))


def document(*, nullable: bool = False) -> Column[Any]:
    """A JSON object; empty rather than absent unless *nullable*."""
    default = None if nullable else text("'{}'::jsonb")
    return Column(JSONB(none_as_null=True), nullable=nullable, server_default=default)


def word(*, nullable: bool = False, default: str | None = None) -> Column[Any]:
    """A short text; which words are allowed is a `one_of` constraint of its table."""
    given = None if default is None else text(f"'{default}'")
    return Column(Text, nullable=nullable, server_default=given)


def count() -> Column[Any]:
    """A number that starts at zero and is never negative."""
    return Column(Integer, nullable=False, server_default=text("0"))


def one_of(column: str, words: Iterable[str]) -> CheckConstraint:
    """*column* holds one of *words* (or NULL, where the column allows it)."""
    listed = ", ".join(f"'{w}'" for w in words)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")
