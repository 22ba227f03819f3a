"""The command line's own errors. The person sees their message and nothing else."""

from typing import Final

from models.platform.errors import SlipwayError

FAILED: Final = 1  # it could not be done, or the answer is no
WRONG_USAGE: Final = 2  # the command or its set-up must be fixed first


class ReportedError(SlipwayError):
    """Ends the command with `code`; the message says what was wrong, where, and what to do."""

    code = FAILED


class Failed(ReportedError):
    """The command could not be carried out, or the answer is no."""


class WrongUsage(ReportedError):
    """The command line or the set-up is wrong; trying again changes nothing."""

    code = WRONG_USAGE
