"""Notices that their partner does not want end without a call."""

import sqlalchemy as sa
from alembic import op

from models.migrations.online import widen_check

revision = "0024"
down_revision: str | None = "0023"


def upgrade() -> None:
    """All that exist are wanted."""
    op.add_column(
        "notice",
        sa.Column("unwanted", sa.Boolean(), nullable=False, server_default=sa.text("false")),
    )
    widen_check(
        "notice_ended_known",
        "notice",
        "ended IN ('delivered', 'refused', 'skipped', 'withdrawn', 'not_wanted', 'dead')",
    )
