"""Repeats of a notice allowed: the identity without them is dropped."""

from models.migrations.online import drop_narrower_unique

revision = "0010"
down_revision: str | None = "0009"


def upgrade() -> None:
    """The release before writes originals only; `notice_identity` keeps those unique."""
    drop_narrower_unique("notice_ticket_action_generation_key", "notice", wider="notice_identity")
