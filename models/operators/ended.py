"""An operator whose partnership has ended (rule 24): nothing of it can be changed any more."""

from datetime import datetime
from typing import TYPE_CHECKING

from models.platform.errors import ConflictError
from models.platform.timestamps import format_timestamp

if TYPE_CHECKING:  # a deliverer raises the error, and holds no tables
    from models.tables.operator import Operator


class OperatorEnded(ConflictError):
    """The partnership with this operator has ended, for good: nothing of it can be changed."""

    def __init__(self, code: str, ended_at: datetime) -> None:
        """Name the operator, and say since when and what else can be done."""
        super().__init__(
            f"the partnership with operator {code!r} ended at"
            f" {format_timestamp(ended_at, 'seconds')}, and that is final; add an operator with"
            " another code for a new one"
        )


def check_goes_on(row: "Operator") -> None:
    """Raise OperatorEnded if the partnership has ended (rule 24)."""
    if row.ended_at is not None:
        raise OperatorEnded(row.code, row.ended_at)
