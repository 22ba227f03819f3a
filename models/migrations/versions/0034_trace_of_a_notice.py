"""The trace that a notice belongs to."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision: str | None = "0033"


def upgrade() -> None:
    """As with events (0033)."""
    op.add_column("notice", sa.Column("traceparent", sa.String(), nullable=True))
