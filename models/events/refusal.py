"""An input that is not an event: the reason, and a message for its publisher."""

from models.platform.errors import SlipwayError
from models.vocabulary import Reason


class Refusal(SlipwayError):
    """This input cannot become an event; the text says what is wrong, where, and the remedy."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
