"""An operator's tickets that have not ended, found however many have."""

from models.migrations.online import build_index

revision = "0004"
down_revision: str | None = "0003"


def upgrade() -> None:
    """For `slipway tickets list`. Its columns change only with those of other indexes."""
    build_index(
        "ticket_unended",
        "ticket",
        ["operator", "id"],
        where="closed_at IS NULL AND cancelled_at IS NULL",
    )
