"""A notice's identity with its repeats, as a unique index."""

from models.migrations.online import build_index

revision = "0009"
down_revision: str | None = "0008"


def upgrade() -> None:
    """Beside the unique constraint without `repeat`, which the next revision drops."""
    build_index(
        "notice_identity", "notice", ["ticket", "action", "generation", "repeat"], unique=True
    )
