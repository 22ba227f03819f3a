"""Who may use the console and the operations API: users, sessions, API tokens, failed sign-ins."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Identity, Index, Integer
from sqlmodel import Field, SQLModel

from models.tables.columns import one_of, timestamp_column, word_column
from models.vocabulary import Role

SOURCES = ("local", "oidc", "proxy")


class UserAccount(SQLModel, table=True):
    """A person who may sign in: with a password of ours, or as another system says."""

    __tablename__ = "user_account"
    __table_args__ = (
        one_of("role", Role),
        one_of("source", SOURCES),
        CheckConstraint("source = 'local' OR password_hash IS NULL", name="password_is_local"),
        CheckConstraint("source <> 'local' OR subject IS NULL", name="subject_is_external"),
        Index("user_account_subject", "source", "subject", unique=True),
    )

    id: int | None = Field(default=None, sa_column=Column(Integer, Identity(), primary_key=True))
    name: str
    name_key: str = Field(sa_column_kwargs={"unique": True})  # the name without case
    role: str = Field(sa_column=word_column())
    source: str = Field(sa_column=word_column())
    # What the other system calls the person, which outlasts a change of name. NULL until the first
    # sign-in of an account that was added here.
    subject: str | None = None
    password_hash: str | None = Field(default=None, repr=False)
    created_at: datetime | None = Field(default=None, sa_column=timestamp_column(default_now=True))
    signed_in_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    disabled_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))


class UserSession(SQLModel, table=True):
    """A user who is signed in. The row is deleted when the session ends."""

    __tablename__ = "user_session"
    __table_args__ = (
        Index("user_session_user", "user_id"),  # all of a user
        Index("user_session_ends_at", "ends_at"),  # expired ones
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    token_hash: str = Field(repr=False, sa_column_kwargs={"unique": True})
    user_id: int = Field(
        sa_column=Column(ForeignKey("user_account.id", ondelete="CASCADE"), nullable=False)
    )
    started_at: datetime = Field(sa_column=timestamp_column())
    seen_at: datetime = Field(sa_column=timestamp_column())  # at most once a minute
    ends_at: datetime = Field(sa_column=timestamp_column())  # however much it is used
    remote: str = ""  # the address that signed in
    client: str = ""  # its User-Agent, cut


class ApiToken(SQLModel, table=True):
    """A program that may use the operations API, and the hash of its token."""

    __tablename__ = "api_token"
    __table_args__ = (one_of("role", Role),)

    id: int | None = Field(default=None, sa_column=Column(Integer, Identity(), primary_key=True))
    name: str = Field(sa_column_kwargs={"unique": True})
    role: str = Field(sa_column=word_column())
    prefix: str  # the part that may be shown: `slipway_3f9a1c20`
    token_hash: str = Field(repr=False, sa_column_kwargs={"unique": True})
    created_at: datetime | None = Field(default=None, sa_column=timestamp_column(default_now=True))
    expires_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    used_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))
    revoked_at: datetime | None = Field(default=None, sa_column=timestamp_column(nullable=True))


class SignInFailure(SQLModel, table=True):
    """How often signing in with a name, or from an address, has failed in the current window."""

    __tablename__ = "sign_in_failure"
    __table_args__ = (Index("sign_in_failure_ends_at", "ends_at"),)  # windows that are over

    # A hash of the name or the address: a password typed as a name must not be stored.
    key: str = Field(primary_key=True)
    failures: int
    ends_at: datetime = Field(sa_column=timestamp_column())


class KeptResponse(SQLModel, table=True):
    """The response to an act of the operations API, for the client that asks again."""

    __tablename__ = "kept_response"
    __table_args__ = (Index("kept_response_at", "at"),)  # those to remove

    caller: str = Field(primary_key=True)  # `token 7` or `user 3`
    key: str = Field(primary_key=True)  # the client's Idempotency-Key
    request_hash: str
    status: int
    body: str
    at: datetime = Field(sa_column=timestamp_column())
