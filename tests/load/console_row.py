"""How fast the console answers, beside ten million tickets, a million waiting, 100,000 dead.

Each page is requested over HTTP by a signed-in person, in rounds in which all pages take turns, so
that none is served from what its last request left in the caches. A time is from the request until
the last byte has come, over a connection that is kept: what the server takes, and a little more.
"""

import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import httpx
from selectolax.lexbor import LexborHTMLParser
from sqlalchemy import text

from models.operators.interventions import Person
from models.platform.clock import DatabaseClock
from models.users import Role, add_user
from tests.load.console_data import FULL, Extent, console_database
from tests.load.console_pages import DEEP, pages_of
from tests.load.environment import STARTING_MAX, BenchEnvironment, Database
from tests.load.results import Samples
from tests.support.closed_port import closed_port
from tests.support.console_app import ConsoleClient
from tests.support.procfile_processes import Running
from tests.support.wait import eventually

TARGET_MS: Final = 150.0
WARM: Final = 2
PERSON, PASSWORD = "reader", "correct-horse-battery"
SIZES: Final = text("SELECT pg_database_size(current_database())")
GIBIBYTE: Final = 2**30


@dataclass(slots=True)
class Reader:
    """A signed-in person who opens pages and holds a watch."""

    client: ConsoleClient

    def open(self, path: str) -> tuple[float, str]:
        """Milliseconds, and the page."""
        before = time.perf_counter()
        response = self.client.http.get(path)
        took = (time.perf_counter() - before) * 1000
        assert response.status_code == httpx.codes.OK, f"{path}: {response.status_code}"
        return took, response.text

    def deep(self, path: str) -> str | None:
        """Where "Next" leads after so many pages; None: the list has one page."""
        place: str | None = None
        for _ in range(DEEP):
            _, page = self.open(place or path)
            link = LexborHTMLParser(page).css_first("a[rel=next]")
            if link is None:
                break
            place = link.attributes["href"]
        return place


def measure(
    environment: BenchEnvironment, samples: Samples, *, extent: Extent, rounds: int, requests: int
) -> None:
    """Measure every page in *rounds*, each so many *requests* a page."""
    before = time.perf_counter()
    with console_database(environment, extent) as database:
        samples.add("console, making its data, s", time.perf_counter() - before)
        with database.engine.begin() as connection:
            size = connection.execute(SIZES).scalar_one()
        samples.add("console, size of its data, GiB", size / GIBIBYTE)
        with reading(database) as reader:
            slowest = measure_pages(database, reader, samples, rounds=rounds, requests=requests)
    if extent == FULL:  # the ratio of the table is about ten million
        for milliseconds in slowest:
            samples.ratio("console", TARGET_MS / milliseconds)


def measure_pages(
    database: Database, reader: Reader, samples: Samples, *, rounds: int, requests: int
) -> list[float]:
    """Measure on a database that is there; the 95th percentile of each round's slowest page."""
    slowest: list[float] = []
    pages = pages_of(database)
    deep = {f"{name}, page {DEEP + 1}": reader.deep(path) for name, path in pages.items()}
    pages |= {name: place for name, place in deep.items() if place is not None}
    for _ in range(rounds):
        took: defaultdict[str, list[float]] = defaultdict(list)
        for number in range(WARM + requests):
            for name, path in pages.items():
                milliseconds, _ = reader.open(path)
                if number >= WARM:
                    took[name].append(milliseconds)
        for name, times in took.items():
            samples.add(f"console, {name}, p50, ms", statistics.median(times))
            samples.add(f"console, {name}, p95, ms", percentile_95(times))
        slowest.append(max(percentile_95(times) for times in took.values()))
    return slowest


def percentile_95(times: list[float]) -> float:
    """The time within which 19 of 20 requests ended."""
    return statistics.quantiles(times, n=20, method="inclusive")[-1]


@contextmanager
def reading(database: Database) -> Iterator[Reader]:
    """Run the console by its line in the Procfile, and sign in, as one who sees everything."""
    port = closed_port()
    environment = database.environment
    env = environment.environment(database.url) | {"SLIPWAY_CONSOLE_PORT": str(port)}
    with database.engine.begin() as connection:
        add_user(
            connection,
            PERSON,
            role=Role.OPERATIONS,
            password=PASSWORD,
            person=Person("load", "measuring"),
            now=DatabaseClock().now(connection),
        )
    process = Running("console", env=env, folder=environment.folder)
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=60, follow_redirects=True
        ) as http:
            http.headers["Accept"] = "text/html"
            eventually(lambda: _ready(process, http), within=STARTING_MAX)
            client = ConsoleClient(http, PERSON)
            client.sign_in(PASSWORD)
            yield Reader(client)
        process.tell_to_end()
        process.code()
    finally:
        process.kill()


def _ready(process: Running, http: httpx.Client) -> bool:
    process.must_live()
    try:
        return http.get("/readyz").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
