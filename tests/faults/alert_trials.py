"""What provokes each alert, and what the runbook says under its name, done as it stands there."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, LiteralString

import httpx
from psycopg import sql

from producers.simulation.partner import Respond, Rule
from tests.support.alert_environment import PERSON, Stage
from tests.support.wait import eventually

Mend = Callable[[], None]
REFUSING: Final[LiteralString] = """
    CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE {condition}; END $$"""


@dataclass(frozen=True, slots=True)
class Trial:
    """*provoke* breaks something and gives what mends it; *alerts* are the pages that must come."""

    alerts: tuple[str, ...]
    provoke: Callable[[Stage], Mend]


def _frozen(stage: Stage, process: str, diagnosis: str) -> Mend:
    """A process that hangs; the doctor says what lacks, and it is started anew."""
    stage.freeze(stage.process(process))

    def mend() -> None:
        stage.until(lambda: diagnosis in stage.slipway.told("doctor"))
        stage.restart(process)

    return mend


def beat_hangs(stage: Stage) -> Mend:
    """Runbook: *start beat*: restart beat."""
    return _frozen(stage, "beat", "start beat")


def intake_hangs(stage: Stage) -> Mend:
    """Runbook: no worker on `intake`: start one (restart intake)."""
    mend = _frozen(stage, "intake", "nobody applies events")
    stage.publish("ticket_win", "waits")
    return mend


def deliver_hangs(stage: Stage) -> Mend:
    """Runbook: no worker on `deliver`: restart deliver."""
    mend = _frozen(stage, "deliver", "nobody sends notices")
    stage.publish("ticket_win", "unsent")
    return mend


def partner_fails(stage: Stage) -> Mend:
    """Runbook: `operators status` shows what it answers; when it is back nothing is to be done."""
    stage.partner.behave(Rule(Respond(503)))
    stage.publish("ticket_win", "unlucky")

    def mend() -> None:
        assert "acme" in stage.slipway.command("operators status acme")
        stage.partner.behave_well()

    return mend


def partner_refuses(stage: Stage) -> Mend:
    """Runbook: the partner mended something: `notices dead retry --operator CODE`."""
    stage.partner.behave(Rule(Respond(400), ticket_id="refused"))
    stage.publish("ticket_win", "refused")

    def mend() -> None:
        assert "refused" in stage.slipway.command("notices dead list --operator acme")
        stage.partner.behave_well()
        stage.slipway.command(f"notices dead retry --operator acme {PERSON} --yes")

    return mend


def key_is_lost(stage: Stage) -> Mend:
    """Runbook: the key is lost: `operators rotate-secret CODE --secret-file FILE`."""
    with stage.database() as connection:
        connection.execute(
            "INSERT INTO operator (code, protocol, url, secret) VALUES ('locked', 'pam', %s, 'x')",
            [stage.partner.url],
        )

    def mend() -> None:
        assert "no key in SLIPWAY_SECRET_KEY opens" in stage.slipway.told("doctor")
        stage.slipway.command(
            f"operators rotate-secret locked --secret-file {stage.folder}/secret {PERSON}"
        )
        stage.publish("ticket_win", "unlocked", "locked")

    return mend


def redis_writes_no_log(stage: Stage) -> Mend:
    """Runbook: `redis-cli CONFIG SET appendonly yes`."""
    with stage.redis() as redis:
        redis.config_set("appendonly", "no")

    def mend() -> None:
        assert "CONFIG SET appendonly yes" in stage.slipway.told("doctor")
        with stage.redis() as redis:
            redis.config_set("appendonly", "yes")

    return mend


def redis_is_full(stage: Stage) -> Mend:
    """Runbook: `redis-cli CONFIG SET maxmemory 4gb`."""
    with stage.redis() as redis:
        redis.config_set("maxmemory", int(redis.info("memory")["used_memory"] * 1.1))

    def mend() -> None:
        with stage.redis() as redis:
            redis.config_set("maxmemory", "4gb")

    return mend


def stream_key_is_taken(stage: Stage) -> Mend:
    """Runbook: move the key out of the way; the intake makes stream and group by itself."""
    with stage.redis() as redis:
        redis.set("ticket-events", "somebody's")

    def mend() -> None:
        assert "is a string, not a stream" in stage.slipway.told("doctor")
        with stage.redis() as redis:
            redis.rename("ticket-events", "ticket-events:found")
        stage.publish("ticket_win", "found")

    return mend


def redis_is_away(stage: Stage) -> Mend:
    """Runbook: bring it back; all processes come back by themselves within half a minute."""
    with stage.redis() as redis:
        server = redis.info("server")["process_id"]
    stage.freeze(server)
    for _ in range(3):
        httpx.get(f"{stage.gateway}/readyz", timeout=30)

    def mend() -> None:
        assert "start Redis" in stage.slipway.told("doctor")
        stage.thaw(server)

    return mend


def postgres_is_away(stage: Stage) -> Mend:
    """Runbook: bring it back; the processes try again by themselves."""
    servers = stage.postgres()
    stage.freeze(*servers)

    def mend() -> None:
        stage.thaw(*servers)

    return mend


def row_is_locked(stage: Stage) -> Mend:
    """Runbook: find the session whose transaction is the oldest, and end it."""
    stage.publish("ticket_win", "locked")
    holder = stage.database()
    holder.autocommit = False

    def delivered() -> bool:
        row = holder.execute(
            "SELECT 1 FROM ticket WHERE ticket_id = 'locked' AND close_due_at IS NOT NULL"
            " FOR UPDATE"
        ).fetchone()
        if row is None:
            holder.rollback()
        return row is not None

    stage.until(delivered)

    def mend() -> None:
        with stage.database() as person:
            session = person.execute(
                "SELECT pid, state, now() - xact_start AS since, application_name, query"
                " FROM pg_stat_activity WHERE xact_start IS NOT NULL ORDER BY xact_start"
            ).fetchone()
            assert session is not None
            person.execute("SELECT pg_terminate_backend(%s)", [session[0]])
        holder.close()

    return mend


def program_fails(stage: Stage) -> Mend:
    """Runbook: the event is kept raw; after the program is mended: `events rejected retry`."""
    _refuse(stage, "ticket", "WHEN (NEW.ticket_id = 'breaks')")
    stage.publish("ticket_win", "breaks")

    def mend() -> None:
        assert "breaks" in stage.slipway.command("events rejected list --reason poison")
        _allow(stage, "ticket")
        stage.slipway.command(f"events rejected retry --reason poison {PERSON} --yes")

    return mend


def database_is_sick(stage: Stage) -> Mend:
    """Runbook: it waits, and is applied when PostgreSQL is well."""
    _refuse(stage, "ticket", "WHEN (NEW.ticket_id = 'waits')", condition="internal_error")
    stage.publish("ticket_win", "waits")

    def mend() -> None:
        _allow(stage, "ticket")
        eventually(lambda: "won" in stage.slipway.command("ticket waits"))

    return mend


def result_is_refused(stage: Stage) -> Mend:
    """Runbook: the ticket tells what happened; once PostgreSQL takes it, it is recorded."""
    _refuse(stage, "delivery_attempt")
    stage.publish("ticket_win", "unrecorded")

    def mend() -> None:
        assert "unrecorded" in stage.slipway.command("ticket unrecorded")
        _allow(stage, "delivery_attempt")

    return mend


def _refuse(
    stage: Stage,
    table: str,
    only: LiteralString = "",
    *,
    condition: LiteralString = "data_exception",
) -> None:
    """Have PostgreSQL refuse rows: for what they hold, as if a check were wrong, or for itself."""
    with stage.database() as person:
        person.execute(sql.SQL(REFUSING).format(condition=sql.SQL(condition)))
        person.execute(
            sql.SQL(
                "CREATE TRIGGER refuses BEFORE INSERT ON {} FOR EACH ROW "
                + only
                + " EXECUTE FUNCTION refuse()"
            ).format(sql.Identifier(table))
        )


def _allow(stage: Stage, table: str) -> None:
    with stage.database() as person:
        person.execute(sql.SQL("DROP TRIGGER refuses ON {}").format(sql.Identifier(table)))


TRIALS: Final = (
    Trial(("SlipwayProcessMissing", "SlipwaySweepStopped"), beat_hangs),
    Trial(("SlipwayEventsNotApplied", "SlipwayWatermarkStale"), intake_hangs),
    Trial(("SlipwayNoticesOverdue",), deliver_hangs),
    Trial(("SlipwayPartnerDown", "SlipwayNoticeUndelivered"), partner_fails),
    Trial(("SlipwayDeadLetters",), partner_refuses),
    Trial(("SlipwayPartnerUnusable",), key_is_lost),
    Trial(("SlipwayClosingsOverdue",), row_is_locked),
    Trial(("SlipwayRedisNotDurable",), redis_writes_no_log),
    Trial(("SlipwayRedisNearlyFull",), redis_is_full),
    Trial(("SlipwayPublishingRefused",), stream_key_is_taken),
    Trial(("SlipwayRedisUnreachable", "SlipwayGatewayFailing"), redis_is_away),
    Trial(("SlipwayPostgresUnreachable",), postgres_is_away),
    Trial(("SlipwayInternalError",), program_fails),
    Trial(("SlipwayDatabaseErrorUnexplained",), database_is_sick),
    Trial(("SlipwayResultsNotRecorded",), result_is_refused),
)
