"""Closing delays counted in seconds: `1 day` is 23 hours where clocks change."""

from models.migrations.online import rewrite_small

revision = "0003"
down_revision: str | None = "0002"

SECONDS = "make_interval(secs => CAST(extract(epoch FROM close_delay) AS double precision))"


def upgrade() -> None:
    """Due times that are set stay as they are. The release before may go on writing days."""
    rewrite_small(
        "operator",
        f"close_delay = {SECONDS}",
        f"CAST(close_delay AS text) <> CAST({SECONDS} AS text)",
    )
