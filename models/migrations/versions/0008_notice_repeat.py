"""Which repeat of its original a notice is (rule 22)."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision: str | None = "0007"


def upgrade() -> None:
    """Notices that exist are originals, and so are those that the release before goes on adding."""
    op.add_column(
        "notice", sa.Column("repeat", sa.Integer(), server_default=sa.text("0"), nullable=False)
    )
