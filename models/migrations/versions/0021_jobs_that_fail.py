"""Since when every batch of a job has failed."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision: str | None = "0020"


def upgrade() -> None:
    """For the metric of jobs that stand still; an older sweep leaves it empty."""
    op.add_column("job", sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True))
