"""Remarks that people make on tickets."""

import sqlalchemy as sa
from alembic import op

revision = "9003"
down_revision: str | None = "9002"


def upgrade() -> None:
    op.create_table(
        "remark",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("ticket", sa.BigInteger(), nullable=False),
        sa.Column("remark", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["ticket"], ["ticket.id"], name=op.f("remark_ticket_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("remark_pkey")),
    )
    op.create_index("remark_ticket", "remark", ["ticket"])
