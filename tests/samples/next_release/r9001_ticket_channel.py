"""Which channel a ticket was sold through."""

import sqlalchemy as sa
from alembic import op

from models.migrations.revisions import expected_revision

revision = "9001"
down_revision: str | None = expected_revision()  # whatever is the newest


def upgrade() -> None:
    op.add_column("ticket", sa.Column("channel", sa.Text(), server_default="web", nullable=True))
