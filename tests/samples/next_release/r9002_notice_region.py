"""Which region a notice is sent from."""

import sqlalchemy as sa
from alembic import op

revision = "9002"
down_revision: str | None = "9001"


def upgrade() -> None:
    op.add_column("notice", sa.Column("region", sa.Text(), server_default="eu", nullable=False))
    op.create_check_constraint(
        op.f("notice_region_known"), "notice", "region IN ('eu', 'us')", postgresql_not_valid=True
    )
