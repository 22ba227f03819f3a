"""A notice's key, kept where its ids hold the character that joins them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"


def upgrade() -> None:
    """Notices that exist have none, and keep the key they were sent under."""
    op.add_column("notice", sa.Column("idempotency_key", sa.String(), nullable=True))
