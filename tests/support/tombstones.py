"""Tombstones, as a removal long ago left them."""

from sqlalchemy import Engine, text

LEAVE = text("""
    INSERT INTO tombstone (operator, ticket_id, ended_at)
    SELECT id, :ticket_id, '2026-01-02 03:04:05+00' FROM operator WHERE code = :operator""")


def leave_tombstone(engine: Engine, operator: str, ticket_id: str) -> str:
    """Have a ticket been removed; return what people are to read of it."""
    with engine.begin() as connection:
        connection.execute(LEAVE, {"operator": operator, "ticket_id": ticket_id})
    return f"ticket {ticket_id} of {operator} ended at 2026-01-02T03:04:05Z and was removed"
