"""Whose event it is, beside its ticket."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision: str | None = "0030"


def upgrade() -> None:
    """Those that exist keep none: they leave with their tickets, and rewriting all costs more."""
    op.add_column("ticket_event", sa.Column("operator", sa.Integer(), nullable=True))
