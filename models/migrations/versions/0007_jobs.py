"""Jobs: long acts of a person, carried on in batches."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision: str | None = "0006"


def upgrade() -> None:
    """Nobody reads it before the release that starts jobs."""
    op.create_table(
        "job",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        _json("arguments"),
        sa.Column("state", sa.Text(), server_default=sa.text("'waiting'"), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=True),
        sa.Column("pace", sa.Double(), nullable=True),
        *map(_counter, ("expected", "done", "refused", "unchanged")),
        sa.Column("expected_exact", sa.Boolean(), server_default="true", nullable=False),
        _json("reasons"),
        sa.Column(
            "position",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            nullable=True,
        ),
        sa.Column("message", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("progressed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'running', 'stopped', 'done', 'failed')",
            name=op.f("job_state_known"),
        ),
        sa.CheckConstraint(
            "(state IN ('waiting', 'running')) = (ended_at IS NULL)",
            name=op.f("job_end_has_its_time"),
        ),
        sa.CheckConstraint("pace > 0", name=op.f("job_pace_positive")),
        sa.PrimaryKeyConstraint("id", name=op.f("job_pkey")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_index(
        "job_next", "job", ["next_at", "id"], postgresql_where=sa.text("ended_at IS NULL")
    )
    op.create_index(
        "job_ended", "job", ["ended_at"], postgresql_where=sa.text("ended_at IS NOT NULL")
    )
    op.create_index(
        "job_key", "job", ["who", "key"], unique=True, postgresql_where=sa.text("key IS NOT NULL")
    )


def _json(name: str) -> sa.Column[object]:
    return sa.Column(
        name,
        postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
        server_default=sa.text("'{}'::jsonb"),
        nullable=False,
    )


def _counter(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), server_default=sa.text("0"), nullable=False)
