"""Who may use the console and the operations API: users, roles, sessions, API tokens.

A name is loaded when it is first used: the sweep removes old sessions, and would otherwise hold all
that changes users, with the object-relational mapper and what hashes passwords.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from models.vocabulary import Role

if TYPE_CHECKING:
    from models.users.accounts import (
        User,
        add_user,
        change_user,
        disable_user,
        enable_user,
        find_user,
        list_users,
        sign_out_user,
    )
    from models.users.errors import (
        LocalUserExists,
        UserDisabled,
        UserExists,
        UserInvalid,
        UserNotFound,
        UserUnknown,
    )
    from models.users.external import external_user, start_external_session
    from models.users.passwords import TooManySignIns
    from models.users.sessions import (
        NewSession,
        SessionLimits,
        SessionLine,
        SignedInUser,
        end_session,
        find_session,
        list_sessions,
    )
    from models.users.sign_in import SignInRefusal, SignInRefused
    from models.users.tokens import (
        NewToken,
        TokenExists,
        TokenHolder,
        TokenInvalid,
        TokenLine,
        TokenNotFound,
        add_token,
        find_token,
        list_tokens,
        revoke_token,
    )

__all__ = [
    "LocalUserExists",
    "NewSession",
    "NewToken",
    "Role",
    "SessionLimits",
    "SessionLine",
    "SignInRefusal",
    "SignInRefused",
    "SignedInUser",
    "TokenExists",
    "TokenHolder",
    "TokenInvalid",
    "TokenLine",
    "TokenNotFound",
    "TooManySignIns",
    "User",
    "UserDisabled",
    "UserExists",
    "UserInvalid",
    "UserNotFound",
    "UserUnknown",
    "add_token",
    "add_user",
    "change_user",
    "disable_user",
    "enable_user",
    "end_session",
    "external_user",
    "find_session",
    "find_token",
    "find_user",
    "list_sessions",
    "list_tokens",
    "list_users",
    "revoke_token",
    "sign_out_user",
    "start_external_session",
]

_HOMES = {
    "LocalUserExists": "errors",
    "NewSession": "sessions",
    "NewToken": "tokens",
    "SessionLimits": "sessions",
    "SessionLine": "sessions",
    "SignInRefusal": "sign_in",
    "SignInRefused": "sign_in",
    "SignedInUser": "sessions",
    "TokenExists": "tokens",
    "TokenHolder": "tokens",
    "TokenInvalid": "tokens",
    "TokenLine": "tokens",
    "TokenNotFound": "tokens",
    "TooManySignIns": "passwords",
    "User": "accounts",
    "UserDisabled": "errors",
    "UserExists": "errors",
    "UserInvalid": "errors",
    "UserNotFound": "errors",
    "UserUnknown": "errors",
    "add_token": "tokens",
    "add_user": "accounts",
    "change_user": "accounts",
    "disable_user": "accounts",
    "enable_user": "accounts",
    "end_session": "sessions",
    "external_user": "external",
    "find_session": "sessions",
    "find_token": "tokens",
    "find_user": "accounts",
    "list_sessions": "sessions",
    "list_tokens": "tokens",
    "list_users": "accounts",
    "revoke_token": "tokens",
    "sign_out_user": "accounts",
    "start_external_session": "external",
}


def __getattr__(name: str) -> object:
    """Load what is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
