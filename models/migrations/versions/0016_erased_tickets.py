"""When what identifies a ticket's player was blanked."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision: str | None = "0015"


def upgrade() -> None:
    """For repeats of its events, late answers, and sending its notices again."""
    op.add_column("ticket", sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True))
