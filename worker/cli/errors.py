"""Errors that are the command line's own. Their message is all that the person gets to see."""

from typing import Final

from models.platform.errors import SlipwayError

FAILED: Final = 1  # it could not be done, or the answer is no
WRONG_USAGE: Final = 2  # the command or its set-up must be mended first


class ReportedError(SlipwayError):
    """Ends the command with `code`; the message says what was wrong, where, and what to do."""

    code = FAILED


class Failed(ReportedError):
    """What was asked for could not be done, or the answer is no."""


class WrongUsage(ReportedError):
    """The command line or the set-up is wrong; trying again changes nothing."""

    code = WRONG_USAGE
