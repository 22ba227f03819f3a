"""Who may use the console and the operations API: users, roles, sessions, API tokens."""

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
from models.users.sign_in import SignInRefusal, SignInRefused, sign_in
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
from models.vocabulary import Role

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
    "sign_in",
    "sign_out_user",
    "start_external_session",
]
