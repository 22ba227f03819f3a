"""How tests run on another day: every process's time of day is shifted, and no timer."""

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support import shifted_clock
from tests.support.sources import ROOT

LATER = timedelta(days=400)
BUSY = timedelta(minutes=2)  # a slow machine, and no other day
SHORT, LONG = 0.3, 60.0

# Asks every clock for the time of day, then waits for 0.3 s in each way that the processes wait in.
PROGRAM = """
import json, queue, select, subprocess, sys, threading, time
from pathlib import Path
import psycopg
from billiard import BoundedSemaphore
from redis import Redis
from tests.support.databases import owner
from worker.local.servers import embedded_servers

def took(wait):
    began = time.monotonic()
    try:
        wait()
    except (psycopg.Error, queue.Empty):
        pass
    return time.monotonic() - began

with embedded_servers(durable=False) as servers:
    with Redis.from_url(servers.redis_url) as redis:
        valkey = redis.time()[0]
    with owner(servers.database_url) as holder, owner(servers.database_url) as waiter:
        (postgres,) = waiter.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()
        holder.execute("CREATE TABLE held ()")
        waiter.execute("SET lock_timeout = '300ms'")
        held, place = threading.Lock(), BoundedSemaphore(1)
        held.acquire(), place.acquire()
        with holder.transaction():
            holder.execute("LOCK TABLE held")
            waits = {
                "lock_timeout": took(lambda: waiter.execute("TABLE held")),
                "pg_sleep": took(lambda: waiter.execute("SELECT pg_sleep(0.3)")),
                "sleep": took(lambda: time.sleep(0.3)),
                "queue": took(lambda: queue.Queue().get(timeout=0.3)),
                "lock": took(lambda: held.acquire(timeout=0.3)),
                "semaphore": took(lambda: place.acquire(timeout=0.3)),
                "epoll": took(lambda: select.epoll().poll(0.3)),
            }
touched = Path(sys.argv[1])
touched.touch(), touched.touch()
bare = subprocess.run(["/bin/date", "+%s"], env={}, capture_output=True, check=True).stdout
days = {
    "python": time.time(), "valkey": valkey, "postgres": float(postgres),
    "a child without environment": int(bare), "a touched file": touched.stat().st_mtime,
}
print(json.dumps([days, waits]))
"""


@pytest.mark.slow
def test_all_clocks_show_the_other_day_and_all_waits_take_their_time(open_folder: Path):
    library = shifted_clock.build(open_folder)
    if library is None:
        pytest.skip("no C compiler")

    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(open_folder / "touched")],
        env={**os.environ, **shifted_clock.environment(library, LATER), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=240,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    days, waits = json.loads(ended.stdout)
    expected = datetime.fromtimestamp(time.time(), UTC) + LATER
    for who, moment in days.items():
        assert abs(datetime.fromtimestamp(moment, UTC) - expected) < BUSY, who
    for which, seconds in waits.items():
        assert SHORT <= seconds + 0.01 < LONG, which
