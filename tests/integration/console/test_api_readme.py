"""The examples of the operations API's page work as they stand there."""

import json
import os
import re
import subprocess
from pathlib import Path

from tests.support.api_client import OperationsApi
from tests.support.harness import Harness
from worker.console import api as package

PAGE = Path(package.__file__).parent / "README.md"
EXAMPLE = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_every_example_works(api: OperationsApi, harness: Harness):
    harness.say("ticket_win", "T-1001")
    environment = {
        "PATH": os.environ["PATH"],
        "CONSOLE": api.url,
        "TOKEN": api.operations.token,
    }
    examples = EXAMPLE.findall(PAGE.read_text(encoding="utf-8"))
    commands = [
        command
        for example in examples
        for command in re.split(r"(?m)^(?=curl )", example)
        if command
    ]

    assert len(commands) == 10
    for command in commands:
        run = subprocess.run(
            ["/bin/sh", "-ec", command],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, f"{command}\n{run.stdout}{run.stderr}"
        assert json.loads(run.stdout)
    assert [act["why"] for act in api.acts("job_started")] == ["incident 42"]
