"""A Redis that cannot be asked, for the sweep."""

from datetime import datetime


class Blind:
    """Redis cannot be asked, so there is no watermark."""

    def watermark(self, now: datetime) -> None:  # noqa: ARG002 - the Sight's
        return None
