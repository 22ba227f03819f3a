"""What a partner may have of its own: timeout, retries, what counts as taken, what it wants."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision: str | None = "0021"


def upgrade() -> None:
    """All that exist have the installation's own."""
    for name in ("user_agent", "retry_schedule", "taken", "create_taken", "success_text", "wants"):
        op.add_column("operator", sa.Column(name, sa.String(), nullable=True))
    for name in ("timeout", "retry_limit"):
        op.add_column("operator", sa.Column(name, sa.Interval(), nullable=True))
    op.add_column(
        "operator",
        sa.Column("success_json", sa.Boolean(), nullable=False, server_default=sa.text("false")),
    )
