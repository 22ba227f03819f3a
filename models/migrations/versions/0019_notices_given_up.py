"""The notices that a partner was not sent, or refused, in the order of their end."""

from models.migrations.online import build_index

revision = "0019"
down_revision: str | None = "0018"


def upgrade() -> None:
    """For the lists of notices. What is delivered, which is nearly all, is not in it."""
    build_index(
        "notice_given_up",
        "notice",
        ["operator", "ended", "ended_at"],
        where="ended IN ('skipped', 'withdrawn', 'refused')",
    )
