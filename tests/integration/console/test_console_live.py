"""A live page hears of changes, without holding up the process or outliving its session."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import Engine, text

from tests.support import console_probe_pages
from tests.support.console_app import ConsoleApp, ConsoleClient, console_app_on
from tests.support.plain_settings import plain_settings
from tests.support.wait import eventually
from worker.console.limits import ConsoleLimits

MARK = text("INSERT INTO intervention (who, why, did, facts) VALUES ('t', 't', 'probe', '{}')")
PATH = "/probe/live"
LIMITS = replace(
    ConsoleLimits(),
    live=3,
    live_of_session=2,
    live_interval=timedelta(milliseconds=50),
    live_keepalive=timedelta(milliseconds=200),
)


class Listening:
    """A live connection, read in a thread of its own."""

    def __init__(self, client: ConsoleClient) -> None:
        self.lines: list[str] = []
        self.status: int | None = None
        self._client = client
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()
        eventually(lambda: self.status is not None)

    def _listen(self) -> None:
        headers = {"Accept": "text/event-stream"}
        with self._client.http.stream("GET", PATH, headers=headers) as response:
            self.status = response.status_code
            for line in response.iter_lines():
                self.lines.append(line)
                if self._ending.is_set():
                    return

    def count(self, beginning: str) -> int:
        """How many lines begin like this."""
        return sum(line.startswith(beginning) for line in self.lines)

    def ended(self) -> bool:
        """Whether the server has ended it."""
        return not self._thread.is_alive()

    def close(self) -> None:
        """Stop reading, and wait for the thread."""
        self._ending.set()
        self._thread.join()


@pytest.fixture
def live(database: str, engine: Engine) -> Iterator[ConsoleApp]:
    settings = plain_settings(database_url=database)
    with console_app_on(
        settings, engine, limits=LIMITS, pages=console_probe_pages.routes
    ) as running:
        yield running


def test_a_change_is_heard_and_silence_is_filled(live: ConsoleApp, engine: Engine):
    listening = Listening(live.viewer)
    eventually(lambda: listening.count("event: changed") == 1)

    with engine.begin() as connection:
        connection.execute(MARK)

    eventually(lambda: listening.count("event: changed") == 2)
    eventually(lambda: listening.count(": still here") >= 2)
    assert listening.count("event: changed") == 2
    listening.close()


def test_connections_are_bounded_per_session_and_in_all(live: ConsoleApp):
    first = [Listening(live.viewer) for _ in range(2)]
    third_tab = live.viewer.get(PATH)
    other = Listening(live.support)
    too_many = live.operations.get(PATH)

    assert [listening.status for listening in (*first, other)] == [200, 200, 200]
    assert (third_tab.status_code, too_many.status_code) == (429, 503)
    for listening in (*first, other):
        listening.close()
    eventually(lambda: ended_soon(live.operations))


def ended_soon(client: ConsoleClient) -> bool:
    """Whether a place has become free."""
    with client.http.stream("GET", PATH) as response:
        return response.status_code == httpx.codes.OK


def test_it_ends_with_the_session(live: ConsoleApp):
    listening = Listening(live.viewer)

    live.viewer.post("/sign-out")

    eventually(listening.ended)
    assert "event: ended" in listening.lines


def test_nobody_listens_without_a_session(live: ConsoleApp):
    response = live.stranger(follow_redirects=False).get(PATH)

    assert response.status_code == 303
