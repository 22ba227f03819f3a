"""What the stream held when it was last counted, and what vanished from it."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision: str | None = "0026"


def upgrade() -> None:
    """Only the sweep writes these tables."""
    op.create_table(
        "stream_count",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("birth", sa.BigInteger(), nullable=False),
        sa.Column("added", sa.BigInteger(), nullable=False),
        sa.Column("finished", sa.BigInteger(), nullable=False),
        sa.Column("waiting", sa.BigInteger(), nullable=False),
        sa.Column("first_id", sa.String(), nullable=True),
        sa.Column("last_id", sa.String(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("stream_count_is_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("stream_count_pkey")),
    )
    op.create_table(
        "stream_loss",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("noticed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("first_id", sa.String(), nullable=False),
        sa.Column("last_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("stream_loss_pkey")),
    )
