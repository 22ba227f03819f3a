"""The image: its steps are done and everything is started from them; what its file promises."""

import os
import subprocess
import sys
import tomllib

import pytest

from deploy.image.dockerfile import build_context, read_copy, read_steps
from deploy.image.rehearse import NO_NETWORK
from tests.support.procfile_processes import LINES
from tests.support.sources import PRODUCT, ROOT
from worker.local.servers import Servers

STEPS = read_steps(ROOT / "deploy/Dockerfile")


@pytest.mark.slow(seconds=45)
def test_every_process_starts_from_what_the_steps_make(servers: Servers, empty_database, redis_url):
    """A container engine is not available everywhere, but the steps are commands: run them."""
    completed = subprocess.run(
        [sys.executable, "-m", "deploy.image.rehearse"],
        cwd=ROOT,
        env=surroundings()
        | {"SLIPWAY_DATABASE_URL": empty_database, "SLIPWAY_REDIS_URL": redis_url},
        capture_output=True,
        text=True,
        check=False,
    )
    if completed.returncode == NO_NETWORK:
        pytest.skip(f"nothing can be installed here: {completed.stdout[-300:]}")

    assert completed.returncode == 0, completed.stdout + completed.stderr
    for process in LINES:
        assert f"{process}: ready, alive\n" in completed.stdout
        assert f"{process}: exited with 0\n" in completed.stdout


def test_it_installs_what_is_locked_and_nothing_that_has_to_be_built():
    (install,) = (step.text for step in STEPS if step.text.startswith("pip "))

    assert install == "pip install --require-hashes --only-binary :all: -r requirements.lock"


def test_it_copies_one_folder_at_a_time_and_each_package_of_the_product():
    copies = [read_copy(step) for step in STEPS if step.name == "COPY"]

    assert [copy.sources for copy in copies if copy.sources[0] in PRODUCT] == [
        (package,) for package in ("models", "worker", "producers")
    ]


def test_it_runs_as_nobody_under_an_init_with_a_health_check_on_the_tested_python():
    steps = {step.name: step for step in STEPS}
    tested = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["python_version"]

    assert steps["USER"].text == "10001:10001"
    assert steps["ENTRYPOINT"].exec_form()[0] == "tini"
    assert steps["HEALTHCHECK"].exec_form() == ["probe", "alive"]
    assert steps["ARG"].text == f"PYTHON_IMAGE=python:{tested}-slim"
    installed = next(step.text for step in STEPS if step.text.startswith("apt-get"))
    assert {"ca-certificates", "tini", "tzdata"} <= set(installed.split())


def test_no_secret_and_nothing_of_the_tests_gets_into_the_build():
    names = {str(path) for path in build_context(ROOT)}

    assert "Procfile" in names
    assert "worker/celery/application.py" in names
    assert not [name for name in names if name.endswith((".secret", ".pyc", ".env"))]
    assert {name.split("/")[0] for name in names} == {
        *PRODUCT, "LICENSE", "Procfile", "deploy", "pyproject.toml", "requirements.lock",
    }  # fmt: skip


def surroundings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("SLIPWAY_")}
