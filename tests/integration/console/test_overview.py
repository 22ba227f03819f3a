"""The overview says what needs a person, and an error never looks like "nothing to do"."""

from sqlalchemy import Engine, text

from models.platform.clock import DatabaseClock
from models.sweeps.heartbeat import Round, store_round
from tests.support.console_app import ConsoleApp
from tests.support.harness import Harness
from tests.support.manual_clock import ManualClock

HOSTILE = "answered 500: <script>alert(1)</script>\N{RIGHT-TO-LEFT OVERRIDE}"
OPEN = text("""
    INSERT INTO circuit (operator, opened_at, reason, probe_at)
    SELECT id, now() - interval '1 hour', :reason, now() + interval '1 minute' FROM operator""")
REJECTED = text("""
    INSERT INTO rejected_input (entry_id, raw, whole, reason, message, received_at, rejected_at)
    SELECT n || '-0', '', true, 'not_json', '', now(), now() - interval '1 day'
      FROM generate_series(1, 1200) AS n""")


def ran(engine: Engine) -> None:
    """Let the sweep have done a round just now."""
    with engine.begin() as connection:
        now = DatabaseClock().now(connection)
        store_round(connection, Round(ended_at=now, watermark=now))


def test_nothing_needs_a_person_and_the_page_says_when_it_looked(
    console: ConsoleApp, engine: Engine
):
    ran(engine)

    page = console.viewer.page("/")

    assert "Nothing needs a person" in page.text("#needs")
    assert page.one("#needs time").attributes["datetime"]
    assert page.tree.css("#needs .cards") == []


def test_a_sweep_that_never_ran_needs_a_person(console: ConsoleApp):
    page = console.viewer.page("/")

    assert "The sweep has stopped" in page.text("#needs")
    assert page.links()["See the system"] == "/system"


def test_what_needs_a_person_is_counted_with_its_age_and_a_link(
    console: ConsoleApp, engine: Engine
):
    ran(engine)
    Harness(engine, ManualClock()).add_operator("acme/1")
    with engine.begin() as connection:
        connection.execute(OPEN, {"reason": HOSTILE})
        connection.execute(REJECTED)

    page = console.support.page("/")

    assert "1,000+" in page.text("#needs .cards")
    assert "24 h ago" in page.text("#needs .cards")
    assert page.links()["See the rejected events"] == "/events?outcome=rejected"
    (circuit,) = page.rows()
    assert circuit[:2] == ["acme/1", "1 h ago"]
    assert "<script>alert(1)</script>U+202E" in circuit[2]
    assert "<script>alert" not in page.response.text
    assert "alert(1)" not in console.viewer.page("/").words, "it may name a player"


def test_what_cannot_be_read_is_said_beside_the_rest(console: ConsoleApp, engine: Engine):
    ran(engine)
    console.viewer.page("/")
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE rejected_input RENAME TO elsewhere"))

    page = console.viewer.page("/")

    assert "Rejected events: this could not be read" in page.text("#needs .failed")
    assert "Nothing needs a person" not in page.words


def test_a_text_that_is_no_id_is_refused_in_its_place(console: ConsoleApp):
    page = console.viewer.page("/", status=422, q="x" * 1000)
    assert "at most 255" in page.text(".message.bad")
