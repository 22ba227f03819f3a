"""The tickets on hold, found and counted however many tickets there are."""

from models.migrations.online import build_index

revision = "0014"
down_revision: str | None = "0013"


def upgrade() -> None:
    """For lists and metrics. Only a hold and a release change its column."""
    build_index("ticket_on_hold", "ticket", ["on_hold_at"], where="on_hold_at IS NOT NULL")
