"""The notices that their partner did not want, in the order of their end."""

from models.migrations.online import build_index

revision = "0026"
down_revision: str | None = "0025"


def upgrade() -> None:
    """For the lists of notices. A partner that wants everything has none in it."""
    build_index(
        "notice_not_wanted", "notice", ["operator", "ended_at"], where="ended = 'not_wanted'"
    )
