"""When the bodies and answers of a ticket were removed."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision: str | None = "0028"


def upgrade() -> None:
    """Nothing was removed from those that exist."""
    for name in ("bodies_removed_at", "bodies_kept_from"):
        op.add_column("ticket", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
