"""A plain result leaves its time to its event, once a person has said that every process knows."""

revision = "0043"
down_revision: str | None = "0042"


def upgrade() -> None:
    """No column changes. Its number is what `slipway migrate --finalize` says of such processes."""
