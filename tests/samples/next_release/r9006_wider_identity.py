"""A notice may go to several regions: its identity without the region is dropped."""

from models.migrations.online import drop_narrower_unique

revision = "9006"
down_revision: str | None = "9005"


def upgrade() -> None:
    drop_narrower_unique("notice_identity", "notice", wider="notice_of_region")
