"""The import contracts can break. That they hold is checked once, by `make lint` in `make test`."""

import subprocess
import sysconfig
from pathlib import Path

from tests.support.sources import ROOT

# One breach of every contract in pyproject.toml, each behind another module, and what is allowed.
BREACHES = {
    "models/ticket.py": "import worker.delivery",
    "models/platform/signing.py": "import celery, redis, pycurl",
    "producers/publisher.py": "import worker.delivery",
    "worker/delivery.py": "import producers.publisher",
    "worker/sweep.py": "import worker.cli",
    "models/events.py": "import models.lifecycle",  # which imports it, below
}
BESIDE = {
    "models/lifecycle.py": "import models.events",
    "worker/cli/demo/command.py": "import producers.publisher",  # allowed
}


def test_every_contract_breaks_when_its_rule_is_broken(tmp_path: Path):
    for file, source in {**BREACHES, **BESIDE}.items():
        module = tmp_path / file
        module.parent.mkdir(parents=True, exist_ok=True)
        module.write_text(source)
    for folder in (
        "models",
        "models/platform",
        "worker",
        "worker/cli",
        "worker/cli/demo",
        "producers",
    ):
        (tmp_path / folder / "__init__.py").touch()

    program = Path(sysconfig.get_path("scripts"), "lint-imports")
    linter = subprocess.run(
        [program, "--config", ROOT / "pyproject.toml", "--no-cache", "--no-logo"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert f"0 kept, {len(BREACHES)} broken" in linter.stdout, linter.stdout
    assert "worker.cli.demo.command -> producers" not in linter.stdout
