"""Whether a partner's calls name the trace that they belong to."""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision: str | None = "0035"


def upgrade() -> None:
    """No partner's, until its terms say so."""
    op.add_column(
        "operator",
        sa.Column("pass_trace", sa.Boolean(), nullable=False, server_default=sa.text("false")),
    )
