"""A further action in the event log, and how long a reason may be."""

from alembic import op

from models.migrations.online import widen_check

revision = "9004"
down_revision: str | None = "9003"


def upgrade() -> None:
    widen_check(
        "ticket_event_action_known",
        "ticket_event",
        "action IN ('ticket_open', 'ticket_create', 'ticket_reserve', 'ticket_paid',"
        " 'ticket_update', 'ticket_discard', 'ticket_win', 'ticket_lost', 'ticket_void',"
        " 'ticket_refund', 'ticket_rollback', 'ticket_cash_out')",
    )
    op.create_check_constraint(
        op.f("ticket_event_reason_short"),
        "ticket_event",
        "length(reason) < 100",
        postgresql_not_valid=True,
    )
