"""The system's page answers at once; the checks come after, and Redis may be away."""

import threading
from datetime import timedelta

import anyio
from sqlalchemy import Engine

from models.monitoring.closings import count_closings
from models.platform.clock import DatabaseClock
from models.platform.version import version
from models.sweeps.heartbeat import Round, store_round
from tests.support.console_app import ConsoleApp
from worker.console.system_watch import Watched


def test_without_redis_the_page_says_so_beside_what_postgresql_knows(
    console: ConsoleApp, engine: Engine
):
    with engine.begin() as connection:
        now = DatabaseClock().now(connection)
        store_round(connection, Round(ended_at=now, watermark=now - timedelta(minutes=3)))
        assert count_closings(connection, now=now)

    page = console.viewer.page("/system")
    checked = console.viewer.page("/system", check="now")

    assert page.one("#checks").attributes["hx-get"] == "/system/checks"
    assert page.links()["Check now"] == "/system?check=now"
    assert "Last round ended" in page.text("#database")
    assert "3 min" in page.text("#database")
    assert ["console", version()] in [row[:2] for row in page.rows("#processes table")]
    assert len(page.rows("#closings table")) >= 24
    assert "Redis does not respond" in checked.text("#checks .failed")
    findings = {row[1]: row[0] for row in checked.rows("#checks table")}
    assert findings["Redis"] == "wrong"
    assert findings["schema"] == "ok"
    assert "ago" in checked.text("#checks")


def test_before_the_first_round_nothing_looks_empty(console: ConsoleApp):
    page = console.viewer.page("/system")

    assert "The sweep does not run" in page.text("#database .message.bad")
    assert "not counted yet" in page.text("#closings .failed")


def test_the_checks_alone_are_a_part_of_a_page(console: ConsoleApp):
    response = console.viewer.get("/system/checks")

    assert response.status_code == 200
    assert "<html" not in response.text
    assert "What the checks say" in response.text
    console.viewer.page("/system", status=422, check="later")


def test_many_who_ask_at_once_cost_one_look():
    looks: list[int] = []
    watched = Watched(lambda: looks.append(1), kept=timedelta(minutes=1))
    assert watched.last() is None

    async def ask() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(watched.look)

    anyio.run(ask)

    assert looks == [1]


def test_who_waits_for_a_slow_look_waits_no_longer_than_the_bound_and_the_next_finds_it():
    done = threading.Event()
    looks: list[bool] = []
    watched = Watched(lambda: looks.append(done.wait(30)), kept=timedelta(minutes=1))

    async def ask() -> tuple[object, object]:
        early = await watched.look_within(timedelta(milliseconds=20))
        also_early = await watched.look_within(timedelta(milliseconds=20))
        done.set()
        late = await watched.look_within(timedelta(seconds=30))
        return early or also_early, late

    early, late = anyio.run(ask)

    assert early is None
    assert late is not None
    assert looks == [True]


def test_a_look_that_fails_is_a_problem_and_is_tried_again():
    def fail() -> None:
        raise ValueError("a defect")

    watched = Watched(fail, kept=timedelta(0))

    look = anyio.run(watched.look)

    assert look.result is None
    assert look.problem is not None
