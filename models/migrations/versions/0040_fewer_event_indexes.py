"""An index less for each event, and one that says more about parked ones."""

from models.migrations.online import build_index, drop_replaced_index, drop_unused_index

revision = "0040"
down_revision: str | None = "0039"


def upgrade() -> None:
    """`ticket_event_event_id` was for the code before 0032: a row in it for each event.

    `ticket_event_parked` fitted those parked on one ticket, too, and was taken for them where no
    event was parked when the table was last analysed: all of them were read then.
    """
    build_index(
        "ticket_event_window_end",
        "ticket_event",
        ["park_until"],
        where="outcome = 'parked' AND park_until IS NOT NULL",
    )
    drop_replaced_index("ticket_event_parked", "ticket_event", by="ticket_event_window_end")
    drop_unused_index("ticket_event_event_id", "ticket_event", since="0032")
