"""When an attempt was signed, which address answered it, and the headers of what failed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision: str | None = "0010"


def upgrade() -> None:
    """Attempts of the release before have none of these."""
    op.add_column("delivery_attempt", sa.Column("sent_at", sa.DateTime(timezone=True)))
    op.add_column("delivery_attempt", sa.Column("remote_address", postgresql.INET()))
    op.add_column("delivery_attempt", sa.Column("response_headers", postgresql.JSONB()))
