"""Which channel a ticket was sold through."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"


def upgrade() -> None:
    op.add_column("ticket", sa.Column("channel", sa.Text(), server_default="web", nullable=True))
