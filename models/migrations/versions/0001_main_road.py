"""The tables of the main road: operators, tickets, events, notices, and what people changed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision: str | None = None


def upgrade() -> None:
    """Create everything; the reasons stand beside the columns in `models.tables`."""
    _operators()
    _circuits()
    _publishers()
    _tickets()
    _events()
    _notices()
    _interventions()
    _sweep_round()


def _operators() -> None:
    op.create_table(
        "operator",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("secret", sa.String(), nullable=False),
        sa.Column("next_secret", sa.String(), nullable=True),
        sa.Column("switch_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("forget_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("agent", sa.String(), nullable=True),
        sa.Column("sign_calls", sa.Boolean(), server_default="false", nullable=False),
        sa.Column(
            "close_delay",
            sa.Interval(),
            server_default=sa.text("interval '24 hours'"),
            nullable=False,
        ),
        sa.Column("announces_tickets", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("rate", sa.Float(), nullable=True),
        sa.Column("in_flight", sa.Integer(), server_default="32", nullable=False),
        sa.Column("timezone", sa.Text(), server_default=sa.text("'UTC'"), nullable=False),
        sa.Column("lottery_ticket", sa.Text(), server_default=sa.text("'ticket'"), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "close_delay >= interval '0'", name=op.f("operator_close_delay_not_negative")
        ),
        sa.CheckConstraint(
            "lottery_ticket IN ('ticket', 'ticket+draw')",
            name=op.f("operator_lottery_ticket_known"),
        ),
        sa.CheckConstraint("protocol IN ('pam', 'seamless')", name=op.f("operator_protocol_known")),
        sa.CheckConstraint("in_flight BETWEEN 1 AND 10000", name=op.f("operator_in_flight_sane")),
        sa.CheckConstraint("rate > 0", name=op.f("operator_rate_positive")),
        sa.CheckConstraint(
            "(next_secret IS NULL) = (switch_at IS NULL)"
            " AND (next_secret IS NULL) = (forget_at IS NULL)",
            name=op.f("operator_exchange_is_whole"),
        ),
        sa.CheckConstraint("switch_at <= forget_at", name=op.f("operator_exchange_in_order")),
        sa.PrimaryKeyConstraint("id", name=op.f("operator_pkey")),
        sa.UniqueConstraint("code", name=op.f("operator_code_key")),
    )


def _circuits() -> None:
    op.create_table(
        "circuit",
        sa.Column("operator", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("refused", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("probe_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("probe_youngest", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("tokens", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.Column("tokens_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "in_flight",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "(probe_at IS NOT NULL) = (opened_at IS NOT NULL AND closed_at IS NULL)",
            name=op.f("circuit_probed_while_open"),
        ),
        sa.CheckConstraint(
            "opened_at IS NOT NULL OR closed_at IS NULL",
            name=op.f("circuit_opened_before_closed"),
        ),
        sa.ForeignKeyConstraint(["operator"], ["operator.id"], name=op.f("circuit_operator_fkey")),
        sa.PrimaryKeyConstraint("operator", name=op.f("circuit_pkey")),
        postgresql_with={"fillfactor": "50"},
    )


def _publishers() -> None:
    op.create_table(
        "publisher",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("key_hash", sa.String(), nullable=False),
        sa.Column("read_only", sa.Boolean(), server_default="false", nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("publisher_pkey")),
        sa.UniqueConstraint("key_hash", name=op.f("publisher_key_hash_key")),
        sa.UniqueConstraint("name", name=op.f("publisher_name_key")),
    )
    op.create_table(
        "publisher_operator",
        sa.Column("publisher", sa.Integer(), nullable=False),
        sa.Column("operator", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["operator"], ["operator.id"], name=op.f("publisher_operator_operator_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["publisher"],
            ["publisher.id"],
            name=op.f("publisher_operator_publisher_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("publisher", "operator", name=op.f("publisher_operator_pkey")),
    )


def _tickets() -> None:
    op.create_table(
        "ticket",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("operator", sa.Integer(), nullable=False),
        sa.Column("ticket_id", sa.String(), nullable=False),
        sa.Column("status", sa.Text(), server_default=sa.text("'absent'"), nullable=False),
        sa.Column("result", sa.Text(), server_default=sa.text("'pending'"), nullable=False),
        sa.Column("generation", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "amounts", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column("amended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("close_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("parked", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("sequence", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("notices", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("unfinished", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("held_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("untold", sa.Integer(), nullable=True),
        sa.Column("in_doubt", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("cancelled_by", sa.String(), nullable=True),
        sa.Column("draw", sa.String(), nullable=True),
        sa.Column(
            "details",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "(status = 'closed') = (closed_at IS NOT NULL)", name=op.f("ticket_closed_has_its_time")
        ),
        sa.CheckConstraint(
            "(status IN ('resulted', 'closed')) = (result <> 'pending')",
            name=op.f("ticket_result_fits_status"),
        ),
        sa.CheckConstraint(
            "close_due_at IS NULL OR status = 'resulted'",
            name=op.f("ticket_only_a_result_starts_the_clock"),
        ),
        sa.CheckConstraint(
            "result IN ('pending', 'won', 'lost', 'void', 'refunded')",
            name=op.f("ticket_result_known"),
        ),
        sa.CheckConstraint(
            "status IN ('absent', 'new', 'reserved', 'open', 'resulted', 'closed', 'cancelled')",
            name=op.f("ticket_status_known"),
        ),
        sa.CheckConstraint("parked BETWEEN 0 AND 32", name=op.f("ticket_parked_bounded")),
        sa.CheckConstraint(
            "unfinished BETWEEN 0 AND notices", name=op.f("ticket_unfinished_bounded")
        ),
        sa.ForeignKeyConstraint(["operator"], ["operator.id"], name=op.f("ticket_operator_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("ticket_pkey")),
        sa.UniqueConstraint("operator", "ticket_id", name=op.f("ticket_operator_ticket_id_key")),
        postgresql_with={"fillfactor": "75"},
    )
    op.create_index(
        "ticket_close_due",
        "ticket",
        ["close_due_at"],
        unique=False,
        postgresql_where=sa.text("close_due_at IS NOT NULL AND parked = 0"),
    )
    op.create_index(
        "ticket_closed",
        "ticket",
        ["closed_at"],
        unique=False,
        postgresql_where=sa.text("closed_at IS NOT NULL"),
    )
    op.create_index(
        "ticket_cancelled",
        "ticket",
        ["cancelled_at"],
        unique=False,
        postgresql_where=sa.text("cancelled_at IS NOT NULL"),
    )
    op.create_index(
        "ticket_newest",
        "ticket",
        ["operator", sa.text("(- id)")],
        unique=False,
        postgresql_where=sa.text("(- id) < 0"),
    )
    op.create_index(
        "ticket_of_player",
        "ticket",
        ["operator", sa.text("(details ->> 'player_id')"), "id"],
        unique=False,
        postgresql_where=sa.text("(details ->> 'player_id') IS NOT NULL"),
    )
    op.create_index(
        "ticket_code",
        "ticket",
        ["operator", sa.text("(details ->> 'ticket_code')"), "id"],
        unique=False,
        postgresql_where=sa.text("(details ->> 'ticket_code') IS NOT NULL"),
    )


def _events() -> None:
    op.create_table(
        "ticket_event",
        sa.Column("ticket", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("arrival", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column(
            "data",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("order_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=True),
        sa.Column("entry_id", sa.String(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("message", sa.String(), nullable=True),
        sa.Column("status_before", sa.Text(), nullable=False),
        sa.Column("status_after", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("park_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("repeats", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("repeated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("dropped_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(outcome = 'parked') = (park_until IS NOT NULL)",
            name=op.f("ticket_event_parked_has_end"),
        ),
        sa.CheckConstraint(
            "action IN ("
            "'ticket_open', 'ticket_create', 'ticket_reserve', 'ticket_paid', "
            "'ticket_update', 'ticket_discard', 'ticket_win', 'ticket_lost', "
            "'ticket_void', 'ticket_refund', 'ticket_rollback')",
            name=op.f("ticket_event_action_known"),
        ),
        sa.CheckConstraint(
            "outcome IN ('applied', 'confirmed', 'superseded', 'parked', 'rejected')",
            name=op.f("ticket_event_outcome_known"),
        ),
        sa.CheckConstraint("sequence > 0", name=op.f("ticket_event_sequence_positive")),
        sa.ForeignKeyConstraint(["ticket"], ["ticket.id"], name=op.f("ticket_event_ticket_fkey")),
        sa.PrimaryKeyConstraint("ticket", "event_id", name=op.f("ticket_event_pkey")),
    )
    op.create_index(
        "ticket_event_parked",
        "ticket_event",
        ["park_until"],
        unique=False,
        postgresql_where=sa.text("outcome = 'parked'"),
    )
    op.create_index(
        "ticket_event_waiting",
        "ticket_event",
        ["ticket"],
        unique=False,
        postgresql_where=sa.text("outcome = 'parked'"),
    )
    op.create_index(
        "ticket_event_listed",
        "ticket_event",
        ["outcome", "decided_at"],
        unique=False,
        postgresql_where=sa.text(
            "outcome IN ('parked', 'rejected', 'superseded') AND dropped_at IS NULL"
        ),
    )
    op.create_index("ticket_event_event_id", "ticket_event", ["event_id", "ticket"], unique=False)
    op.create_table(
        "rejected_input",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("entry_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=True),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("whole", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("operator", sa.String(), nullable=True),
        sa.Column("ticket_id", sa.String(), nullable=True),
        sa.Column("event_id", sa.String(), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "rejected_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("dropped_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("rejected_input_pkey")),
        sa.UniqueConstraint("entry_id", name=op.f("rejected_input_entry_id_key")),
    )
    op.create_index(
        "rejected_input_listed",
        "rejected_input",
        ["rejected_at"],
        unique=False,
        postgresql_where=sa.text("dropped_at IS NULL"),
    )
    op.create_index(
        "rejected_input_ticket", "rejected_input", ["ticket_id", "operator"], unique=False
    )
    op.create_index(
        "rejected_input_event",
        "rejected_input",
        ["event_id"],
        unique=False,
        postgresql_where=sa.text("event_id IS NOT NULL"),
    )


def _notices() -> None:
    op.create_table(
        "notice",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("ticket", sa.BigInteger(), nullable=False),
        sa.Column("operator", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.String(), nullable=True),
        sa.Column("path", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("head", sa.Boolean(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("postponed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease", sa.Uuid(), nullable=True),
        sa.Column("leased_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claims", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("first_tried_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("quiet_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("perhaps_delivered", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("ended", sa.Text(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "NOT head OR ended IS NULL OR ended = 'dead'", name=op.f("notice_head_is_unfinished")
        ),
        sa.CheckConstraint(
            "action IN ("
            "'ticket_open', 'ticket_create', 'ticket_reserve', 'ticket_paid', "
            "'ticket_update', 'ticket_discard', 'ticket_win', 'ticket_lost', "
            "'ticket_void', 'ticket_refund', 'ticket_rollback', 'ticket_closed')",
            name=op.f("notice_action_known"),
        ),
        sa.CheckConstraint(
            "ended IN ('delivered', 'refused', 'skipped', 'withdrawn', 'dead')",
            name=op.f("notice_ended_known"),
        ),
        sa.CheckConstraint(
            "(ended IS NULL) = (ended_at IS NULL)", name=op.f("notice_end_has_its_time")
        ),
        sa.CheckConstraint(
            "(lease IS NULL) = (leased_until IS NULL)", name=op.f("notice_lease_is_whole")
        ),
        sa.ForeignKeyConstraint(["ticket"], ["ticket.id"], name=op.f("notice_ticket_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("notice_pkey")),
        sa.UniqueConstraint(
            "ticket", "action", "generation", name=op.f("notice_ticket_action_generation_key")
        ),
        postgresql_with={"fillfactor": "75"},
    )
    op.create_index(
        "notice_dead",
        "notice",
        ["operator", "ended_at"],
        unique=False,
        postgresql_where=sa.text("ended = 'dead'"),
    )
    op.create_index(
        "notice_due",
        "notice",
        ["operator", "due_at"],
        unique=False,
        postgresql_where=sa.text("head AND ended IS NULL"),
    )
    op.create_index(
        "notice_postponed",
        "notice",
        ["operator", "postponed_at"],
        unique=False,
        postgresql_where=sa.text("head AND ended IS NULL AND postponed_at IS NOT NULL"),
    )
    op.create_index(
        "notice_sent_once",
        "notice",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("action IN ('ticket_create', 'ticket_reserve') AND ended IS NULL"),
    )
    op.create_table(
        "delivery_attempt",
        sa.Column("notice", sa.BigInteger(), nullable=False),
        sa.Column("claim", sa.Integer(), nullable=False),
        sa.Column("operator", sa.Integer(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("took_ms", sa.Integer(), nullable=False),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("problem", sa.String(), nullable=True),
        sa.Column("answer", sa.String(), nullable=True),
        sa.Column(
            "remarks", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "verdict IN ('delivered', 'again', 'unanswered', 'dead')",
            name=op.f("delivery_attempt_verdict_known"),
        ),
        sa.ForeignKeyConstraint(
            ["notice"], ["notice.id"], name=op.f("delivery_attempt_notice_fkey")
        ),
        sa.PrimaryKeyConstraint("notice", "claim", name=op.f("delivery_attempt_pkey")),
    )
    op.create_index(
        "delivery_attempt_recent", "delivery_attempt", ["operator", "recorded_at"], unique=False
    )


def _interventions() -> None:
    op.create_table(
        "intervention",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("did", sa.String(), nullable=False),
        sa.Column("operator", sa.String(), nullable=True),
        sa.Column("ticket", sa.BigInteger(), nullable=True),
        sa.Column(
            "facts",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("intervention_pkey")),
    )
    op.create_index("intervention_ticket", "intervention", ["ticket"], unique=False)


def _sweep_round() -> None:
    op.create_table(
        "sweep_round",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("horizon", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("id = 1", name=op.f("sweep_round_is_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("sweep_round_pkey")),
    )
