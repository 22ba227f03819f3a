"""Users of the console, their sessions, API tokens, failed sign-ins and kept responses."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision: str | None = "0004"


def upgrade() -> None:
    """Create the tables; the reasons stand beside the columns in `models.tables.user`."""
    _users()
    _sessions()
    _tokens()
    _failures()
    _responses()


def _users() -> None:
    op.create_table(
        "user_account",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("name_key", sa.String(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("subject", sa.String(), nullable=True),
        sa.Column("password_hash", sa.String(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("signed_in_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "role IN ('viewer', 'support', 'operations')", name=op.f("user_account_role_known")
        ),
        sa.CheckConstraint(
            "source IN ('local', 'oidc', 'proxy')", name=op.f("user_account_source_known")
        ),
        sa.CheckConstraint(
            "source = 'local' OR password_hash IS NULL",
            name=op.f("user_account_password_is_local"),
        ),
        sa.CheckConstraint(
            "source <> 'local' OR subject IS NULL", name=op.f("user_account_subject_is_external")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("user_account_pkey")),
        sa.UniqueConstraint("name_key", name=op.f("user_account_name_key_key")),
    )
    op.create_index("user_account_subject", "user_account", ["source", "subject"], unique=True)


def _sessions() -> None:
    op.create_table(
        "user_session",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("remote", sa.String(), nullable=False),
        sa.Column("client", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["user_account.id"],
            name=op.f("user_session_user_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("user_session_pkey")),
        sa.UniqueConstraint("token_hash", name=op.f("user_session_token_hash_key")),
    )
    op.create_index("user_session_user", "user_session", ["user_id"])
    op.create_index("user_session_ends_at", "user_session", ["ends_at"])


def _tokens() -> None:
    op.create_table(
        "api_token",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("prefix", sa.String(), nullable=False),
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "role IN ('viewer', 'support', 'operations')", name=op.f("api_token_role_known")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("api_token_pkey")),
        sa.UniqueConstraint("name", name=op.f("api_token_name_key")),
        sa.UniqueConstraint("token_hash", name=op.f("api_token_token_hash_key")),
    )


def _failures() -> None:
    op.create_table(
        "sign_in_failure",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("sign_in_failure_pkey")),
    )
    op.create_index("sign_in_failure_ends_at", "sign_in_failure", ["ends_at"])


def _responses() -> None:
    op.create_table(
        "kept_response",
        sa.Column("caller", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("request_hash", sa.String(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("caller", "key", name=op.f("kept_response_pkey")),
    )
    op.create_index("kept_response_at", "kept_response", ["at"])
