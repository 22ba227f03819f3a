"""The call that delivered a notice, kept by the notice itself."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0038"
down_revision: str | None = "0037"


def upgrade() -> None:
    """A plain success needs no row of `delivery_attempt` then. Old rows stay where they are."""
    op.add_column("notice", sa.Column("sent_at", sa.DateTime(timezone=True)))
    op.add_column("notice", sa.Column("took_ms", sa.Integer()))
    op.add_column("notice", sa.Column("http_status", sa.Integer()))
    op.add_column("notice", sa.Column("remote_address", postgresql.INET()))
    op.add_column("notice", sa.Column("answer", sa.String()))
    op.add_column("notice", sa.Column("remarks", postgresql.JSONB()))
    op.add_column("notice", sa.Column("call_traceparent", sa.String()))
