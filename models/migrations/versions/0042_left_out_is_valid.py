"""What events leave out is checked, of old rows too."""

from models.migrations.online import validate

revision = "0042"
down_revision: str | None = "0041"


def upgrade() -> None:
    """None of them leaves anything out."""
    validate("ticket_event_left_out_known", "ticket_event")
    validate("ticket_event_whole_unless_applied", "ticket_event")
