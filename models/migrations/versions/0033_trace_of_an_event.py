"""The trace that an event belongs to."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision: str | None = "0032"


def upgrade() -> None:
    """NULL where nobody traces, so no row is rewritten; nothing searches by it."""
    op.add_column("ticket_event", sa.Column("traceparent", sa.String(), nullable=True))
