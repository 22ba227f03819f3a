"""Events leave out what their ticket keeps, once a person has said that every process knows."""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision: str | None = "0040"


def upgrade() -> None:
    """Old rows have all of their data, and so have new ones until `slipway migrate --finalize`."""
    op.add_column("ticket_event", sa.Column("left_out", sa.Text()))
    op.create_check_constraint(
        op.f("ticket_event_left_out_known"),
        "ticket_event",
        "left_out IN ('key', 'details')",
        postgresql_not_valid=True,
    )
    op.create_check_constraint(
        op.f("ticket_event_whole_unless_applied"),
        "ticket_event",
        "left_out IS NULL OR outcome = 'applied'",
        postgresql_not_valid=True,
    )
    op.create_table(
        "finalized_upgrade",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.String(), nullable=False),
        sa.Column(
            "finalized_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("id = 1", name=op.f("finalized_upgrade_is_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("finalized_upgrade_pkey")),
    )
