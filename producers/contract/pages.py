"""The page for partners' developers: its tables are made from the contract."""

from pathlib import Path
from typing import Final

from models.outgoing.tables import sections
from models.platform.generated_pages import with_sections

RECEIVE: Final = Path(__file__).parents[1] / "RECEIVE.md"


def refreshed(page: str) -> str:
    """Return *page* with the present tables."""
    return with_sections(page, "producers.contract", sections())


def write_page() -> None:
    """Write the page with the present tables."""
    RECEIVE.write_text(refreshed(RECEIVE.read_text(encoding="utf-8")), encoding="utf-8")
