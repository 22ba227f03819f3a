"""The families of Slipway's own errors. Their messages are sentences for people."""


class SlipwayError(Exception):
    """An error that Slipway raises itself."""


class InvalidError(SlipwayError, ValueError):
    """The input cannot be accepted as it is; the message says what is wrong."""


class NotFoundError(SlipwayError, ValueError):
    """There is nothing of this name or id."""


class ConflictError(SlipwayError, ValueError):
    """The name or value is in use already."""
