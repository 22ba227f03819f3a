"""An input that is no event: why not, in a word and in a sentence."""

from models.vocabulary import Reason


class Refusal(Exception):
    """This input cannot become an event; its text says what is wrong, where, and what to do."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
