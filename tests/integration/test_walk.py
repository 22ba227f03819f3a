"""The list in models/README.md is the way that an event really takes, module by module."""

import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Final

from redis import Redis
from sqlalchemy import Engine

from models.events.stream_contract import STREAM
from models.intake.apply import BatchApplier
from models.platform.clock import DatabaseClock
from producers.simulation.partner import SimulatedPartner
from tests.support.delivery_setup import RUN_MAX, SECRET, delivery_settings, delivery_setup_on
from tests.support.harness import AMOUNTS
from tests.support.intake_at_work import CONFIG
from tests.support.manual_clock import ManualClock
from tests.support.sources import ROOT
from worker.delivery.loop import DeliveryLoop
from worker.delivery.wakeup_reader import WakeupReader
from worker.intake.loop import Intake
from worker.intake.stream import Stream
from worker.process.queues import WAKEUPS

PAGE: Final = (ROOT / "models/README.md").read_text(encoding="utf-8")
WALK_MAX: Final = 35
CONNECTIONS: Final = 4  # for two batches of the intake, a claim and a record at once
FOLDERS: Final = ("models", "worker")


def listed() -> list[str]:
    """Return the modules of the table, in its order, by their paths."""
    rows = re.findall(r"^\| \d+ \| `([\w/]+\.py)` \|", PAGE, re.MULTILINE)
    return [row if row.startswith("worker/") else f"models/{row}" for row in rows]


def left_out() -> set[str]:
    """Return the modules that the page names as values and helpers, by their paths."""
    sentence = re.search(r"<!-- left out -->(.*?)<!-- end -->", PAGE, re.DOTALL)
    assert sentence is not None
    rows = re.findall(r"`([\w/]+\.py)`", sentence[1])
    return {row if row.startswith("worker/") else f"models/{row}" for row in rows}


@contextmanager
def modules_entered() -> Iterator[list[str]]:
    """List the product's modules whose functions are called, in every thread, in order."""
    entered: dict[str, None] = {}

    def note(frame: FrameType, event: str, _argument: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(ROOT) and frame.f_code.co_name != "<module>":
            inside = path.relative_to(ROOT)
            if inside.parts[0] in FOLDERS:
                entered.setdefault(str(inside))

    names: list[str] = []
    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield names
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
        names += entered


def intake_on(engine: Engine, redis: Redis) -> Intake:
    """Make an intake whose wakeups are sent at once."""

    def notify() -> None:
        redis.lpush(WAKEUPS, "1")

    return Intake(
        stream=Stream(redis, consumer="traced"),
        applier=BatchApplier(engine.begin, DatabaseClock(), parking_window=timedelta(minutes=15)),
        config=CONFIG,
        notify=notify,
        report=lambda _: None,
        alive=lambda: None,
    )


def test_the_list_is_short():
    assert len(listed()) <= WALK_MAX


def test_a_result_enters_the_modules_of_the_list_and_no_others(
    engine: Engine, redis: Redis, clock: ManualClock
):
    """Ours in the list and not entered here: Celery's tasks, which need a worker's process."""
    with (
        SimulatedPartner(secret=SECRET) as partner,
        delivery_setup_on(engine, clock) as delivery,
    ):
        delivery.operator("acme", partner.url)
        event = {
            "event_id": "7f",
            "action": "ticket_win",
            "data": {"operator": "acme", "ticket_id": "7", "currency": "EUR", **AMOUNTS},
        }
        redis.xadd(STREAM, {"event": json.dumps(event)})
        applied, stop = threading.Event(), threading.Event()
        intake = intake_on(engine, redis)
        loop = DeliveryLoop(
            transaction=engine.begin,
            clock=DatabaseClock(),
            settings=delivery_settings(),
            vault=delivery.vault,
        )
        reader = WakeupReader(redis, wake=applied.set)
        with ExitStack() as opened:  # else a busy machine opens the second one within the walk
            for _ in range(CONNECTIONS):
                opened.enter_context(engine.connect())
        with modules_entered() as entered:
            thread = threading.Thread(target=intake.run, args=(stop,))
            thread.start()
            reader.start()
            assert applied.wait(30)
            run = loop.run(lasting=RUN_MAX)
        stop.set()
        thread.join(30)
        reader.close()
        loop.close()

    assert run is not None
    assert run.counts["delivered"] == 1
    of_celery = {name for name in listed() if name.startswith("worker/celery/")}
    assert set(entered) - left_out() == set(listed()) - of_celery
