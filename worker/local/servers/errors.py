"""What can go wrong with the embedded servers, each with a message that says what to do."""


class EmbeddedError(Exception):
    """The embedded servers cannot be had here; the message says why and what to do."""


class EmbeddedMissing(EmbeddedError):
    """The wheels that carry the servers are not installed, or hold none for this platform."""


class DataFolderUnusable(EmbeddedError):
    """The data folder is in use, belongs to somebody else, or is out of the servers' reach."""


class ServerFailed(EmbeddedError):
    """A server ended, or stayed silent, while it was being started."""
