"""Indexes for what the next release asks, and proof that the new checks hold for old rows."""

from sqlalchemy import text

from models.migrations.online import build_index, drop_narrower_index, validate

revision = "9005"
down_revision: str | None = "9004"


def upgrade() -> None:
    build_index("ticket_event_received", "ticket_event", ["received_at"])
    build_index("ticket_by_channel", "ticket", ["channel", text("(- id)")], where="parked = 0")
    build_index("notice_event", "notice", ["ticket", "action", "number"], unique=True)
    build_index(
        "notice_of_region",
        "notice",
        ["ticket", "action", "generation", "repeat", "region"],
        unique=True,
    )
    build_index(
        "rejected_input_reasons",
        "rejected_input",
        ["rejected_at", "reason"],
        where="dropped_at IS NULL",
    )
    drop_narrower_index("rejected_input_listed", "rejected_input", wider="rejected_input_reasons")
    validate("ticket_event_action_known", "ticket_event")
    validate("ticket_event_reason_short", "ticket_event")
    validate("notice_region_known", "notice")
