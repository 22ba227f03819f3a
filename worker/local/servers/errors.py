"""What can go wrong with the embedded servers, each with a message that says what to do."""


class EmbeddedError(Exception):
    """The embedded servers cannot run here; the message says why and what to do."""


class EmbeddedMissing(EmbeddedError):
    """The wheels that carry the servers are not installed, or hold none for this platform."""


class DataFolderUnusable(EmbeddedError):
    """The data folder is in use, belongs to another user, or cannot be reached by the servers."""


class ServerFailed(EmbeddedError):
    """A server ended, or did not become ready, while it was being started."""
