"""Tickets that have ended and still have their bodies, each partner's in the order of their end."""

from sqlalchemy import text

from models.migrations.online import build_index

revision = "0030"
down_revision: str | None = "0029"


def upgrade() -> None:
    """For the sweep."""
    build_index(
        "ticket_with_bodies",
        "ticket",
        ["operator", text("greatest(closed_at, cancelled_at, bodies_kept_from)")],
        where="bodies_removed_at IS NULL AND (closed_at IS NOT NULL OR cancelled_at IS NOT NULL)",
    )
