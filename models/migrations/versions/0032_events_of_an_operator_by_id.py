"""An operator's events by their id, however many of others have it."""

from sqlalchemy import text

from models.migrations.online import build_index, drop_narrower_index

revision = "0032"
down_revision: str | None = "0031"


def upgrade() -> None:
    """`ticket_event_event_id` stays for the code before; nothing of this one uses it."""
    build_index(
        "ticket_event_of_id", "ticket_event", ["operator", text("hashtext(event_id)"), "arrival"]
    )
    build_index(
        "rejected_input_of_id",
        "rejected_input",
        ["event_id", "operator"],
        where="event_id IS NOT NULL",
    )
    drop_narrower_index("rejected_input_event", "rejected_input", wider="rejected_input_of_id")
