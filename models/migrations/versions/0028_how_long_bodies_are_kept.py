"""How long a partner's bodies and answers are kept."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision: str | None = "0027"


def upgrade() -> None:
    """Of all that exist: as long as the tickets."""
    op.add_column("operator", sa.Column("keep_bodies", sa.Interval(), nullable=True))
