"""Since when a person holds a ticket."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision: str | None = "0012"


def upgrade() -> None:
    """For `slipway tickets hold`: a ticket on hold has no head, so claims need not look here."""
    op.add_column("ticket", sa.Column("on_hold_at", sa.DateTime(timezone=True), nullable=True))
