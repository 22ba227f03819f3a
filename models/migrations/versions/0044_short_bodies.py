"""Bodies that say no more than ticket and action are short, once every process knows."""

revision = "0044"
down_revision: str | None = "0043"


def upgrade() -> None:
    """No table changes: it is what `slipway migrate --finalize` notes (`notices/short_body.py`)."""
