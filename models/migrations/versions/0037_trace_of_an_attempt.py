"""The trace that a call named to its partner."""

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision: str | None = "0036"


def upgrade() -> None:
    """As with notices (0034)."""
    op.add_column("delivery_attempt", sa.Column("traceparent", sa.String(), nullable=True))
