"""Each process runs with what it needs, and loads no more.

Beat and Flower run with Redis alone: without database, keys, or the code for either.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.celery_process import ROOT, environment
from tests.support.procfile_processes import Running
from tests.support.wait import eventually

# What Python writes with PYTHONPROFILEIMPORTTIME about each module that it has loaded.
IMPORTED = re.compile(r"^import time:[ \d|]+\| +(\S+)$", re.MULTILINE)
FOREIGN = ("sqlalchemy", "sqlmodel", "psycopg", "psycopg_binary", "alembic", "cryptography.hazmat",
           "statemachine", "pycurl", "fastapi")  # fmt: skip
# What structlog and redis-py load where it is installed. That they looked for it is listed, too.
OPTIONAL = ("rich.console", "opentelemetry.sdk.metrics._internal")
# The same of structlog, Celery and kombu; the console has YAML, and greenlets by the mapper.
OF_CELERY = ("greenlet._greenlet", "psutil._common", "pygments.lexers", "yaml.nodes")
# The object-relational mapper, 10 MiB: tables are for migrations, the command line and the console.
MAPPER = ("sqlalchemy.orm", "sqlmodel")
# Those parts of `models` that know no tickets.
SHARED = {"models.platform", "models.settings", "models.telemetry"}
NAMES = {"models.events", "models.events.stream_contract"}  # what the stream is called
OF_WORKER = {"worker.app", "worker.celery", "worker.metrics", "worker.process"}
EVENTS = b"_kombu.binding.celeryev"  # Flower listens to the workers' events


@pytest.fixture
def with_redis_alone(redis_url: str, tmp_path: Path) -> dict[str, str]:
    given = environment(tmp_path, database_url="", redis_url=redis_url, flower_port="0")
    unneeded = {"SLIPWAY_DATABASE_URL", "SLIPWAY_SECRET_KEY"}
    return {name: value for name, value in given.items() if name not in unneeded} | {
        "PYTHONPROFILEIMPORTTIME": "1"
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["beat", "flower"])
def test_it_runs_with_redis_alone(redis, with_redis_alone, tmp_path, name):
    process = Running(name, env=with_redis_alone, folder=tmp_path)

    def works() -> bool:
        process.must_live()
        return bool(redis.exists({"beat": "sweep", "flower": EVENTS}[name]))

    try:
        eventually(works)
        process.tell_to_end()
        assert process.code() == 0
    finally:
        process.kill()

    loaded = set(IMPORTED.findall((tmp_path / f"{name}.log").read_text(encoding="utf-8"))) - NAMES
    assert {"celery.app.base", "redis.client", "models.settings.settings"} <= loaded
    assert sorted(within(loaded, (*FOREIGN, *OPTIONAL, *OF_CELERY))) == []
    assert sorted(loaded_of(loaded, "models") - SHARED) == []
    assert sorted(loaded_of(loaded, "worker") - OF_WORKER) == []


def within(loaded: set[str], packages: Sequence[str]) -> Iterator[str]:
    beginnings = tuple(f"{package}." for package in packages)
    return (module for module in loaded if f"{module}.".startswith(beginnings))


def loaded_of(loaded: set[str], package: str) -> set[str]:
    """The parts of *package* that were loaded, as `models.settings`."""
    parts = [module.split(".") for module in loaded]
    return {".".join(part[:2]) for part in parts if part[0] == package and len(part) > 1}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "unneeded"),
    [
        ("intake", (*MAPPER, "cryptography.hazmat", "pycurl", "worker.sweep.round")),
        ("deliver", (*MAPPER, "models.intake", "worker.sweep.round")),
        ("sweep", (*MAPPER, "cryptography.hazmat", "pycurl", "argon2", "worker.intake.loop")),
    ],
)
def test_a_worker_loads_nothing_that_only_others_use(database, redis_url, tmp_path, name, unneeded):
    env = environment(tmp_path, database_url=database, redis_url=redis_url)
    process = Running(name, env=env | {"PYTHONPROFILEIMPORTTIME": "1"}, folder=tmp_path)

    def ready() -> bool:
        process.must_live()
        return any(tmp_path.glob("slipway-*/*.ready"))

    try:
        eventually(ready)
        process.tell_to_end()
        assert process.code() == 0
    finally:
        process.kill()

    loaded = set(IMPORTED.findall((tmp_path / f"{name}.log").read_text(encoding="utf-8")))
    assert "sqlalchemy" in loaded
    assert sorted(within(loaded, (*unneeded, *OPTIONAL, *OF_CELERY))) == []


@pytest.mark.parametrize(
    ("application", "unneeded"),
    [
        (
            "producers.gateway.app",
            (*MAPPER, *OF_CELERY, "alembic", "mako", "cryptography.x509"),
        ),
        ("worker.console.app", ("mako",)),
    ],
)
def test_a_web_server_loads_no_migrations_and_nothing_optional(application, unneeded):
    program = f"import sys, {application}; print(*sys.modules, sep='\\n')"

    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    loaded = set(ended.stdout.splitlines())
    assert {application, "redis", "structlog"} <= loaded
    assert sorted(within(loaded, (*unneeded, *OPTIONAL))) == []


def test_what_it_lacks_is_said_without_a_traceback(tmp_path):
    process = Running("sweep", env={"PATH": os.environ["PATH"]}, folder=tmp_path)

    code = process.code()

    first, *problems = process.wrote().splitlines()
    assert (code, first) == (2, "slipway: These settings cannot be used:")
    assert [problem.split()[0] for problem in problems] == [
        "SLIPWAY_DATABASE_URL", "SLIPWAY_REDIS_URL",
    ]  # fmt: skip
