"""Erasures of players, and the tickets that each of them waits for."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision: str | None = "0014"


def upgrade() -> None:
    """Create the tables; the reasons stand beside the columns in `models.tables.erasure`."""
    op.create_table(
        "erasure",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("operator", sa.Integer(), nullable=False),
        sa.Column("player_id", sa.String(), nullable=True),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("phase", sa.Text(), server_default=sa.text("'searching'"), nullable=False),
        sa.Column(
            "positions", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column(
            "counts", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("job", sa.BigInteger(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(ended_at IS NULL) = (player_id IS NOT NULL)",
            name=op.f("erasure_id_is_forgotten_at_the_end"),
        ),
        sa.CheckConstraint(
            "(ended_at IS NULL) = (phase <> 'done')", name=op.f("erasure_end_has_its_time")
        ),
        sa.CheckConstraint(
            "phase IN ('searching', 'waiting', 'finishing', 'done')",
            name=op.f("erasure_phase_known"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("erasure_pkey")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_index(
        "erasure_under_way",
        "erasure",
        ["operator", "player_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index("erasure_fingerprint", "erasure", ["fingerprint"])
    op.create_table(
        "erasure_ticket",
        sa.Column("erasure", sa.BigInteger(), nullable=False),
        sa.Column("ticket", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("whole", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["erasure"],
            ["erasure.id"],
            name=op.f("erasure_ticket_erasure_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("erasure", "ticket", name=op.f("erasure_ticket_pkey")),
    )
    op.create_index(
        "erasure_ticket_next",
        "erasure_ticket",
        ["erasure", sa.text("checked_at NULLS FIRST"), "ticket"],
    )
