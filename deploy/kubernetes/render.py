#!/usr/bin/env python
"""Generates the files that derive from others: `python -m deploy.kubernetes.render`.

It writes the alerts of deploy/prometheus/alerts.yml as a PrometheusRule (base/alerts.yaml), and
each overlay as one file below rendered/, whose diff shows what a change does to the cluster. The
second part needs kubectl or kustomize.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import yaml

HERE: Final = Path(__file__).parent
ALERTS: Final = HERE.parent / "prometheus/alerts.yml"
RULE: Final = HERE / "base/alerts.yaml"
OVERLAYS: Final = ("small", "large", "proxied")
RENDERERS: Final = (("kubectl", "kustomize"), ("kustomize", "build"))
REMARK: Final = "# Made by `python -m deploy.kubernetes.render` from {source}. Do not edit.\n"


def main() -> int:
    """Write all generated files."""
    RULE.write_text(rule(), encoding="utf-8")
    if renderer() is None:
        sys.stderr.write(
            "neither kubectl nor kustomize is installed: only the alerts were written\n"
        )
        return 1
    for overlay in OVERLAYS:
        rendered_file(overlay).write_text(rendered(overlay), encoding="utf-8")
    return 0


def rule() -> str:
    """Return the alerts in the form of the Prometheus operator."""
    document = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "slipway"},
        "spec": yaml.safe_load(ALERTS.read_text(encoding="utf-8")),
    }
    source = ALERTS.relative_to(HERE.parents[1])
    return REMARK.format(source=source) + yaml.safe_dump(document, sort_keys=False, width=100)


def rendered_file(overlay: str) -> Path:
    """Return the path of the rendered *overlay*."""
    return HERE / f"rendered/{overlay}.yaml"


def renderer() -> tuple[str, str] | None:
    """Return the command that can render here, or None if there is none."""
    return next((command for command in RENDERERS if shutil.which(command[0])), None)


def rendered(overlay: str) -> str:
    """Render *overlay*. Raises CalledProcessError if that fails."""
    command = renderer()
    assert command is not None, "call renderer() first"
    folder = HERE / "overlays" / overlay
    completed = subprocess.run([*command, folder], check=True, capture_output=True, text=True)
    return REMARK.format(source=f"overlays/{overlay}") + completed.stdout


if __name__ == "__main__":
    sys.exit(main())
