"""What stays of tickets that were removed."""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision: str | None = "0034"


def upgrade() -> None:
    """The sweep writes a row for each ticket that ended and that it removes (rule 29)."""
    op.create_table(
        "tombstone",
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("operator", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ticket_id", sa.String(), nullable=False),
        sa.Column("erased", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("operator", "ticket_id", name=op.f("tombstone_pkey")),
    )
