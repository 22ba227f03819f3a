"""24 hours are 24 hours even on a day of clock change, in every session's time zone."""

import shutil
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine, event, text

from models.database.engine import open_engine
from models.migrations.revisions import VERSIONS, current_revision
from models.migrations.runner import upgrade
from models.outbox.record import record_each
from models.outbox.values import Attempt, Delivered
from tests.support import databases
from tests.support.closed_port import closed_port
from tests.support.command_line import CommandLine
from tests.support.harness import OPERATOR, RECORD_POLICY, TOOK, Harness
from tests.support.manual_clock import ManualClock
from tests.support.records import Records

ZONE = "Europe/Berlin"
DAY = timedelta(days=1)
# Noon before a night of 25 hours, and before one of 23, in that zone.
NOONS = [datetime(2026, 10, 24, 12, tzinfo=UTC), datetime(2026, 3, 28, 12, tzinfo=UTC)]
STORED = text("SELECT CAST(close_delay AS text) FROM operator WHERE code = :code")


@pytest.fixture(params=NOONS, ids=["autumn", "spring"])
def harness(request, database):
    """A harness whose sessions keep local time, with an operator added by an older release."""
    engine = open_engine(database, application_name="local", pool_size=2)
    event.listen(engine, "begin", lambda new: new.exec_driver_sql(f"SET TIME ZONE '{ZONE}'"))
    made = Harness(engine, ManualClock(request.param))
    made.add_operator(close_delay=DAY)
    with engine.begin() as connection:
        assert connection.execute(STORED, {"code": OPERATOR}).scalar_one() == "1 day"
        assert connection.execute(text("SHOW TIME ZONE")).scalar_one() == ZONE
    yield made
    engine.dispose()


def test_a_success_on_the_fast_path_starts_24_hours(harness):
    harness.say("ticket_win")
    harness.deliver()

    assert Records(harness.engine).ticket().close_due_at == harness.now + DAY


def test_a_success_that_is_decided_by_itself_starts_24_hours(harness):
    harness.say("ticket_win")
    attempts = [Attempt(claim, Delivered(), TOOK) for claim in harness.claim()]
    with harness.engine.begin() as connection:
        record_each(
            connection,
            attempts,
            now=harness.now,
            policy=RECORD_POLICY,
        )

    assert Records(harness.engine).ticket().close_due_at == harness.now + DAY


@pytest.fixture
def slipway(monkeypatch, capsys, database) -> CommandLine:
    line = CommandLine(monkeypatch, capsys)
    line.export(
        database_url=database,
        redis_url=f"redis://127.0.0.1:{closed_port()}/0",
        secret_key=Fernet.generate_key().decode(),
    )
    return line


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [("24h", "24:00:00"), ("7d", "168:00:00"), ("90s", "00:01:30"), ("1500ms", "00:00:01.5")],
)
def test_a_delay_is_stored_in_seconds(slipway, engine, delay, seconds):
    add = ("operators", "add", "--protocol", "pam", "--url", "https://partner.example/")
    slipway(*add, "--close-delay", delay, "added")
    slipway(*add, "changed")
    slipway("operators", "set", "changed", "--close-delay", delay)

    assert [stored(engine, code) for code in ("added", "changed")] == [seconds, seconds]


def stored(engine: Engine, code: str) -> str:
    with engine.begin() as connection:
        delay: str = connection.execute(STORED, {"code": code}).scalar_one()
    return delay


def test_migrating_counts_in_seconds_what_was_stored_in_days_and_keeps_due_times(
    database, engine, tmp_path
):
    for number in ("0001", "0002", "0003"):  # the later ones are done already
        (revision,) = VERSIONS.glob(f"{number}_*.py")
        shutil.copy(revision, tmp_path)
    harness = Harness(engine, ManualClock())
    harness.add_operator(close_delay=timedelta(days=2, hours=1))
    harness.say("ticket_win")
    harness.deliver()
    due = Records(engine).ticket().close_due_at
    with databases.owner(database) as person:
        person.execute("UPDATE alembic_version SET version_num = '0002'")

    upgrade(database, versions=(tmp_path,))

    assert stored(engine, OPERATOR) == "49:00:00"
    assert Records(engine).ticket().close_due_at == due == harness.now + timedelta(hours=49)
    with engine.connect() as connection:
        assert current_revision(connection) == "0003"
