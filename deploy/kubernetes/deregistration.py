#!/usr/bin/env python
"""For balancers that send requests to pods directly: `python -m deploy.kubernetes.deregistration`.

Such a balancer (AWS with `target-type: ip`, Google's with NEGs) learns later than the nodes that a
pod is about to end. With the number of seconds that it takes this prints a patch, with which
gateway, console and Flower go on serving for so long after they were told to end, and then have as
long to end as before. deploy/README.md says what your overlay does with it.
"""

import sys
from pathlib import Path
from typing import Any, Final

import yaml

BASE: Final = Path(__file__).parent / "base"
SERVING: Final = ("gateway", "console", "flower")
SECONDS_MAX: Final = 3600  # Google's and AWS' longest delay


def main(arguments: list[str]) -> int:
    """Print the patch. Returns 0, or 2 for wrong usage."""
    match arguments:
        case [text] if text.isdecimal() and text.isascii() and 0 < int(text) <= SECONDS_MAX:
            sys.stdout.write(patch(int(text)))
            return 0
        case _:
            sys.stderr.write(
                "usage: python -m deploy.kubernetes.deregistration SECONDS, whole ones from 1 to"
                f" {SECONDS_MAX}: how long your balancer may take to send a pod nothing more\n"
            )
            return 2


def patch(seconds: int) -> str:
    """Return the patch for a pause of *seconds*."""
    return yaml.safe_dump_all([_patched(name, seconds) for name in SERVING], sort_keys=False)


def _patched(name: str, seconds: int) -> dict[str, Any]:
    pause = {"preStop": {"exec": {"command": ["sleep", str(seconds)]}}}
    pod = {
        "terminationGracePeriodSeconds": seconds + _ending_seconds(name),
        "containers": [{"name": "slipway", "lifecycle": pause}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"template": {"spec": pod}},
    }


def _ending_seconds(name: str) -> int:
    """Return how long the base lets it take after its pause."""
    documents = yaml.safe_load_all((BASE / f"{name}.yaml").read_text(encoding="utf-8"))
    (deployment,) = (each for each in documents if each["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    _sleep, pause = container["lifecycle"]["preStop"]["exec"]["command"]
    return int(pod["terminationGracePeriodSeconds"]) - int(pause)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
