"""The attempts that notices keep, of each partner in the order of their time."""

from models.migrations.online import build_index

revision = "0039"
down_revision: str | None = "0038"


def upgrade() -> None:
    """What `delivery_attempt_recent` was for plain successes. No old row is in it."""
    build_index("notice_taken", "notice", ["operator", "ended_at"], where="took_ms IS NOT NULL")
