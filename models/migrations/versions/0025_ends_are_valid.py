"""Check the ends of the notices that existed before."""

from models.migrations.online import validate

revision = "0025"
down_revision: str | None = "0024"


def upgrade() -> None:
    """Nothing can be against it: the check before allowed less."""
    validate("notice_ended_known", "notice")
