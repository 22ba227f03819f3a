"""Rows of a CSV file that a spreadsheet opens and never executes."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

from worker.console.display.foreign_text import visible_plain

BYTE_ORDER_MARK: Final = "\N{ZERO WIDTH NO-BREAK SPACE}"  # or Excel takes UTF-8 for something else
# A spreadsheet takes a cell that begins so for a formula; the last four are the wide forms.
_FORMULA_STARTS: Final = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


def csv_text(rows: Iterable[Sequence[str | None]]) -> str:
    """Return *rows* as CSV: every cell quoted, no formula, hidden characters made visible."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue()


def _cell(value: str | None) -> str:
    if value is None:
        return ""
    return f"'{visible_plain(value)}" if value.startswith(_FORMULA_STARTS) else visible_plain(value)
