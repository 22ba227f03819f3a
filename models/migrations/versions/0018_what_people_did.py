"""What people did, found by person, act, operator and time, however much there is."""

from models.migrations.online import build_index

revision = "0018"
down_revision: str | None = "0017"


def upgrade() -> None:
    """For the history of all that people did."""
    build_index("intervention_at", "intervention", ["at", "id"])
    build_index("intervention_who", "intervention", ["who", "at", "id"])
    build_index("intervention_did", "intervention", ["did", "at", "id"])
    build_index(
        "intervention_operator",
        "intervention",
        ["operator", "at", "id"],
        where="operator IS NOT NULL",
    )
