"""What the calls to a partner carry for the gateway in front of it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0023"
down_revision: str | None = "0022"


def upgrade() -> None:
    """Calls to all that exist carry nothing but what the protocol has."""
    for name in ("access", "next_access"):
        op.add_column("operator", sa.Column(name, sa.String(), nullable=True))
        op.add_column("operator", sa.Column(f"{name}_facts", JSONB(none_as_null=True)))
    op.add_column("operator", sa.Column("access_switch_at", sa.DateTime(timezone=True)))
