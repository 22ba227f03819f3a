"""Values of which one is made for each notice: frozen for the type checker, and fast to make.

A frozen dataclass sets each of its fields by a call, which takes several times as long as the
assignment. What is made many thousand times a second is therefore not frozen while it runs; mypy
refuses an assignment to its fields all the same.
"""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

Value = TypeVar("Value")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def made_often(value: type[Value]) -> type[Value]:
    """Make a dataclass of *value* that nothing changes: `dataclass(frozen=True, slots=True)`."""
    return dataclass(slots=True, unsafe_hash=True)(value)
