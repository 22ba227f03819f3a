"""What the console's plots show: attempts per minute, and the closings ahead."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision: str | None = "0016"


def upgrade() -> None:
    """The sweep fills both; nobody else writes them."""
    op.create_table(
        "partner_minute",
        sa.Column("operator", sa.Integer(), nullable=False),
        sa.Column("minute", sa.DateTime(timezone=True), nullable=False),
        sa.Column("delivered", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("p50_ms", sa.Integer(), nullable=True),
        sa.Column("p99_ms", sa.Integer(), nullable=True),
        sa.Column("max_ms", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["operator"], ["operator.id"], name=op.f("partner_minute_operator_fkey")
        ),
        sa.PrimaryKeyConstraint("operator", "minute", name=op.f("partner_minute_pkey")),
    )
    op.create_table(
        "plot_progress",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("minutes_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("minutes_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closings_counted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closings_took_ms", sa.Integer(), nullable=True),
        sa.Column("closings_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closings", sa.ARRAY(sa.Integer()), nullable=True),
        sa.CheckConstraint("id = 1", name=op.f("plot_progress_is_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("plot_progress_pkey")),
    )
