"""Why something about a user was refused. The messages are shown to people."""

from models.platform.errors import ConflictError, InvalidError, NotFoundError


class UserInvalid(InvalidError):
    """A user or a password cannot be accepted as it is; the message says what is wrong."""


class UserNotFound(NotFoundError):
    """There is no user of this name."""

    def __init__(self, name: str) -> None:
        """Name the user."""
        super().__init__(f"no user {name[:100]!r}; `slipway users list` shows all of them")


class UserExists(ConflictError):
    """The name is taken."""


class LocalUserExists(ConflictError):
    """Another system names a person like a local account, which is never taken over silently."""

    def __init__(self, name: str) -> None:
        """Name the account, and say what to do."""
        super().__init__(
            f"{name!r} is the name of an account with another way to sign in, which is not taken"
            " over: sign in that way, or have the person renamed where the name comes from"
        )


class UserDisabled(ConflictError):
    """The account is disabled, and stays so until it is enabled."""

    def __init__(self, name: str) -> None:
        """Name the account, and say what to do."""
        super().__init__(
            f"user {name!r} is disabled; `slipway users enable` lets the person sign in again"
        )


class UserUnknown(NotFoundError):
    """Another system vouches for a person, but names no role, and no account was added here."""

    def __init__(self, name: str) -> None:
        """Name the person, and say what to do."""
        super().__init__(
            f"{name!r} has no role: add the account with `slipway users add --external`, or let the"
            " identity provider name a role"
        )
