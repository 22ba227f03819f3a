"""What provokes each alert, and what the runbook says under its name, done as it stands there."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, LiteralString

import httpx
from psycopg import sql

from producers.simulation.partner import Respond, Rule
from tests.support.alert_environment import PERSON, AlertEnvironment
from tests.support.wait import eventually

Fix = Callable[[], None]
REFUSING: Final[LiteralString] = """
    CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE {condition}; END $$"""


@dataclass(frozen=True, slots=True)
class Trial:
    """*provoke* breaks something and returns what fixes it; *alerts* must fire."""

    alerts: tuple[str, ...]
    provoke: Callable[[AlertEnvironment], Fix]


def _frozen(environment: AlertEnvironment, process: str, diagnosis: str) -> Fix:
    """Freeze a process; the fix is to restart it when the doctor has named the problem."""
    environment.freeze(environment.process(process))

    def fix() -> None:
        environment.until(lambda: diagnosis in environment.slipway.output_of("doctor"))
        environment.restart(process)

    return fix


def beat_hangs(environment: AlertEnvironment) -> Fix:
    """Runbook: *start beat*: restart beat."""
    return _frozen(environment, "beat", "start beat")


def intake_hangs(environment: AlertEnvironment) -> Fix:
    """Runbook: no worker on `intake`: start one (restart intake)."""
    fix = _frozen(environment, "intake", "nobody applies events")
    environment.publish("ticket_win", "waits")
    return fix


def deliver_hangs(environment: AlertEnvironment) -> Fix:
    """Runbook: no worker on `deliver`: restart deliver."""
    fix = _frozen(environment, "deliver", "nobody sends notices")
    environment.publish("ticket_win", "unsent")
    return fix


def partner_fails(environment: AlertEnvironment) -> Fix:
    """Runbook: `operators status` shows what it answers; when it is back nothing is to be done."""
    environment.partner.behave(Rule(Respond(503)))
    environment.publish("ticket_win", "unlucky")

    def fix() -> None:
        assert "acme" in environment.slipway.command("operators status acme")
        environment.partner.behave_well()

    return fix


def partner_refuses(environment: AlertEnvironment) -> Fix:
    """Runbook: the partner fixed something: `notices dead retry --operator CODE`."""
    environment.partner.behave(Rule(Respond(400), ticket_id="refused"))
    environment.publish("ticket_win", "refused")

    def fix() -> None:
        assert "refused" in environment.slipway.command("notices dead list --operator acme")
        environment.partner.behave_well()
        environment.slipway.command(f"notices dead retry --operator acme {PERSON} --yes")

    return fix


def key_is_lost(environment: AlertEnvironment) -> Fix:
    """Runbook: the key is lost: `operators rotate-secret CODE --secret-file FILE`."""
    with environment.database() as connection:
        connection.execute(
            "INSERT INTO operator (code, protocol, url, secret) VALUES ('locked', 'pam', %s, 'x')",
            [environment.partner.url],
        )

    def fix() -> None:
        assert "no key in SLIPWAY_SECRET_KEY opens" in environment.slipway.output_of("doctor")
        environment.slipway.command(
            f"operators rotate-secret locked --secret-file {environment.folder}/secret {PERSON}"
        )
        environment.publish("ticket_win", "unlocked", "locked")

    return fix


def redis_writes_no_log(environment: AlertEnvironment) -> Fix:
    """Runbook: `redis-cli CONFIG SET appendonly yes`."""
    with environment.redis() as redis:
        redis.config_set("appendonly", "no")

    def fix() -> None:
        assert "CONFIG SET appendonly yes" in environment.slipway.output_of("doctor")
        with environment.redis() as redis:
            redis.config_set("appendonly", "yes")

    return fix


def redis_is_full(environment: AlertEnvironment) -> Fix:
    """Runbook: `redis-cli CONFIG SET maxmemory 4gb`."""
    with environment.redis() as redis:
        redis.config_set("maxmemory", int(redis.info("memory")["used_memory"] * 1.1))

    def fix() -> None:
        with environment.redis() as redis:
            redis.config_set("maxmemory", "4gb")

    return fix


def stream_key_is_taken(environment: AlertEnvironment) -> Fix:
    """Runbook: move the key out of the way; the intake makes stream and group by itself."""
    with environment.redis() as redis:
        redis.set("ticket-events", "somebody's")

    def fix() -> None:
        assert "is a string, not a stream" in environment.slipway.output_of("doctor")
        with environment.redis() as redis:
            redis.rename("ticket-events", "ticket-events:found")
        environment.publish("ticket_win", "found")

    return fix


def redis_is_away(environment: AlertEnvironment) -> Fix:
    """Runbook: bring it back; all processes come back by themselves within half a minute."""
    with environment.redis() as redis:
        server = redis.info("server")["process_id"]
    environment.freeze(server)
    for _ in range(3):
        httpx.get(f"{environment.gateway}/readyz", timeout=30)

    def fix() -> None:
        assert "start Redis" in environment.slipway.output_of("doctor")
        environment.thaw(server)

    return fix


def postgres_is_away(environment: AlertEnvironment) -> Fix:
    """Runbook: bring it back; the processes try again by themselves."""
    servers = environment.postgres()
    environment.freeze(*servers)

    def fix() -> None:
        environment.thaw(*servers)

    return fix


def standby_is_lost(environment: AlertEnvironment) -> Fix:
    """Runbook: go on without one."""
    _wait_for_standbys(environment, "*")

    def fix() -> None:
        _wait_for_standbys(environment, "")

    return fix


def _wait_for_standbys(environment: AlertEnvironment, names: str) -> None:
    with environment.database() as person:
        person.execute(sql.SQL("ALTER SYSTEM SET synchronous_standby_names = {}").format(names))
        person.execute("SELECT pg_reload_conf()")


def row_is_locked(environment: AlertEnvironment) -> Fix:
    """Runbook: find the session whose transaction is the oldest, and end it."""
    environment.publish("ticket_win", "locked")
    holder = environment.database()
    holder.autocommit = False

    def delivered() -> bool:
        row = holder.execute(
            "SELECT 1 FROM ticket WHERE ticket_id = 'locked' AND close_due_at IS NOT NULL"
            " FOR UPDATE"
        ).fetchone()
        if row is None:
            holder.rollback()
        return row is not None

    environment.until(delivered)

    def fix() -> None:
        with environment.database() as person:
            session = person.execute(
                "SELECT pid, state, now() - xact_start AS since, application_name, query"
                " FROM pg_stat_activity WHERE xact_start IS NOT NULL ORDER BY xact_start"
            ).fetchone()
            assert session is not None
            person.execute("SELECT pg_terminate_backend(%s)", [session[0]])
        holder.close()

    return fix


def program_fails(environment: AlertEnvironment) -> Fix:
    """Runbook: it is stored as rejected input; the program is fixed: `events rejected retry`."""
    _refuse(environment, "ticket", "WHEN (NEW.ticket_id = 'breaks')")
    environment.publish("ticket_win", "breaks")

    def fix() -> None:
        assert "breaks" in environment.slipway.command("events rejected list --reason poison")
        _allow(environment, "ticket")
        environment.slipway.command(f"events rejected retry --reason poison {PERSON} --yes")

    return fix


def database_is_sick(environment: AlertEnvironment) -> Fix:
    """Runbook: it waits, and is applied when PostgreSQL is well."""
    _refuse(environment, "ticket", "WHEN (NEW.ticket_id = 'waits')", condition="internal_error")
    environment.publish("ticket_win", "waits")

    def fix() -> None:
        _allow(environment, "ticket")
        eventually(lambda: "won" in environment.slipway.command("ticket waits"))

    return fix


def result_is_refused(environment: AlertEnvironment) -> Fix:
    """Runbook: the ticket tells what happened; once PostgreSQL takes it, it is recorded."""
    _refuse(environment, "notice", "WHEN (NEW.took_ms IS NOT NULL)", what="UPDATE")
    environment.publish("ticket_win", "unrecorded")

    def fix() -> None:
        assert "unrecorded" in environment.slipway.command("ticket unrecorded")
        _allow(environment, "notice")

    return fix


def _refuse(
    environment: AlertEnvironment,
    table: str,
    only: LiteralString = "",
    *,
    what: LiteralString = "INSERT",
    condition: LiteralString = "data_exception",
) -> None:
    """Have PostgreSQL refuse rows: for what they hold, as if a check were wrong, or for itself."""
    with environment.database() as person:
        person.execute(sql.SQL(REFUSING).format(condition=sql.SQL(condition)))
        person.execute(
            sql.SQL(
                "CREATE TRIGGER refuses BEFORE "
                + what
                + " ON {} FOR EACH ROW "
                + only
                + " EXECUTE FUNCTION refuse()"
            ).format(sql.Identifier(table))
        )


def _allow(environment: AlertEnvironment, table: str) -> None:
    with environment.database() as person:
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
    Trial(("SlipwayNoSynchronousStandby",), standby_is_lost),
    Trial(("SlipwayInternalError",), program_fails),
    Trial(("SlipwayDatabaseErrorUnexplained",), database_is_sick),
    Trial(("SlipwayResultsNotRecorded",), result_is_refused),
)
