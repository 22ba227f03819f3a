"""A ticket's status for people, like `resulted/won`, in SQL."""

from typing import Final

from models.vocabulary import Result

# Of a ticket `t`.
TICKET_STATUS: Final = (
    f"t.status || CASE t.result WHEN '{Result.PENDING}' THEN '' ELSE '/' || t.result END"
)
