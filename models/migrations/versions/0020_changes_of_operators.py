"""What people did to an operator itself, found however much they did to its tickets."""

from models.migrations.online import build_index

revision = "0020"
down_revision: str | None = "0019"


def upgrade() -> None:
    """For the operator's latest changes: the command line and the partner's page."""
    build_index(
        "intervention_operator_itself", "intervention", ["operator", "id"], where="ticket IS NULL"
    )
