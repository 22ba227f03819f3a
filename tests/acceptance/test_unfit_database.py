"""No process starts on a database that it must not work with, and each says why in a sentence."""

import sys
from pathlib import Path

import pytest

from tests.support.celery_process import environment
from tests.support.fork_server import run
from tests.support.pooler import needs_pgbouncer, pgbouncer

STARTING_SECONDS_MAX = 60
WORKER = "worker.celery worker -n {queue}@here -Q {queue} -P threads -c 1"
PROCESSES = {
    "intake": WORKER.format(queue="intake"),
    "deliver": WORKER.format(queue="deliver"),
    "sweep": WORKER.format(queue="sweep"),
    "gateway": "uvicorn --factory producers.gateway.app:build_app --port 0",
}


def refusal(name: str, *, database_url: str, redis_url: str, folder: Path) -> str:
    """What the process says as it ends; it must not have started."""
    ended = run(
        [sys.executable, "-m", *PROCESSES[name].split()],
        env=environment(folder, database_url=database_url, redis_url=redis_url),
        seconds_max=STARTING_SECONDS_MAX,
    )
    assert ended.returncode not in (0, -15), ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", PROCESSES)
def test_a_database_of_another_encoding_ends_it(latin_database, redis_url, tmp_path, name):
    output = refusal(name, database_url=latin_database, redis_url=redis_url, folder=tmp_path)

    assert "encoding LATIN1" in output


@needs_pgbouncer
@pytest.mark.slow
@pytest.mark.parametrize("name", ["intake", "gateway"])
def test_a_pooler_of_statements_ends_it(database, redis_url, open_folder, tmp_path, name):
    with pgbouncer(database, open_folder, mode="statement", ignores="options") as url:
        output = refusal(name, database_url=url, redis_url=redis_url, folder=tmp_path)

    assert "Set pool_mode = transaction" in output
