"""Operators, the partners: what a new one must be like, adding one, listing them."""

from models.operators.draft import NewOperator, OperatorInvalid, cautions, check
from models.operators.store import (
    Added,
    ApiKeyTaken,
    OperatorExists,
    OperatorLine,
    add_operator,
    list_operators,
)

__all__ = [
    "Added",
    "ApiKeyTaken",
    "NewOperator",
    "OperatorExists",
    "OperatorInvalid",
    "OperatorLine",
    "add_operator",
    "cautions",
    "check",
    "list_operators",
]
