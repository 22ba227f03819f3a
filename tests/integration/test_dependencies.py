"""What a process shares: built once for all threads, at first use, and never shared with a fork."""

import subprocess
import sys

import pytest

from tests.support.celery_process import ROOT, environment

THREADS = """
import threading
from worker.celery.dependencies import current

start, built = threading.Barrier(8), []

def use():
    start.wait()
    built.append(current().delivery_metrics)

threads = [threading.Thread(target=use) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert len(built) == 8
assert len(set(map(id, built))) == 1
"""
FORK = """
import os
from worker.celery.dependencies import current

before = current()
engine = before.engine
child = os.fork()
if not child:
    shared = current() is before or current().engine is engine
    os._exit(shared)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0
assert current() is before
"""
NOTHING = """
from worker.celery.dependencies import current

assert not {"engine", "redis", "delivery_loop"} & vars(current()).keys()
"""


@pytest.mark.parametrize("program", [THREADS, FORK, NOTHING], ids=["threads", "fork", "nothing"])
def test_each_process_builds_its_own_once_at_first_use(database, redis_url, tmp_path, program):
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment(tmp_path, database_url=database, redis_url=redis_url),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, "")
