"""When the partnership with an operator ended."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision: str | None = "0011"


def upgrade() -> None:
    """All that exist go on."""
    op.add_column("operator", sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True))
