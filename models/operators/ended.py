"""An operator whose partnership has ended (rule 24): nothing of it can be changed any more."""

from datetime import datetime

from models.platform.errors import ConflictError
from models.platform.timestamps import format_timestamp


class OperatorEnded(ConflictError):
    """The partnership with this operator has ended, for good: nothing of it can be changed."""

    def __init__(self, code: str, ended_at: datetime) -> None:
        """Name the operator, and say since when and what else can be done."""
        super().__init__(
            f"the partnership with operator {code!r} ended at"
            f" {format_timestamp(ended_at, 'seconds')}, and that is final; add an operator with"
            " another code for a new one"
        )


def check_goes_on(code: str, ended_at: datetime | None) -> None:
    """Raise OperatorEnded if the partnership has ended (rule 24)."""
    if ended_at is not None:
        raise OperatorEnded(code, ended_at)
