"""The notices of seamless wallets, found by their transaction id."""

from sqlalchemy import text

from models.migrations.online import build_index

revision = "0006"
down_revision: str | None = "0005"


def upgrade() -> None:
    """For the search. Only notices to wallets have a path; a text's quotes are escaped."""
    build_index(
        "notice_transaction",
        "notice",
        [text("""substring(body, '"transactionId":"([0-9a-f-]{36})"')""")],
        where="path <> ''",
    )
