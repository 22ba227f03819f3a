#!/usr/bin/env python
"""Makes what is made here from something else: `python -m deploy.kubernetes.render`.

The alerts of deploy/prometheus/alerts.yml as a PrometheusRule (base/alerts.yaml), then each
overlay as one file below rendered/: what a change does to the cluster can be read in its diff. The
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
OVERLAYS: Final = ("small", "large")
RENDERERS: Final = (("kubectl", "kustomize"), ("kustomize", "build"))
REMARK: Final = "# Made by `python -m deploy.kubernetes.render` from {source}. Do not edit.\n"


def main() -> int:
    """Write all that is made."""
    RULE.write_text(rule(), encoding="utf-8")
    if renderer() is None:
        sys.stderr.write("neither kubectl nor kustomize is installed: only the alerts were made\n")
        return 1
    for overlay in OVERLAYS:
        rendered_file(overlay).write_text(rendered(overlay), encoding="utf-8")
    return 0


def rule() -> str:
    """Give the alerts as the Prometheus operator takes them."""
    document = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "slipway"},
        "spec": yaml.safe_load(ALERTS.read_text(encoding="utf-8")),
    }
    source = ALERTS.relative_to(HERE.parents[1])
    return REMARK.format(source=source) + yaml.safe_dump(document, sort_keys=False, width=100)


def rendered_file(overlay: str) -> Path:
    """Name the file that keeps *overlay* as it was rendered."""
    return HERE / f"rendered/{overlay}.yaml"


def renderer() -> tuple[str, str] | None:
    """Find what renders here; None: nothing does."""
    return next((command for command in RENDERERS if shutil.which(command[0])), None)


def rendered(overlay: str) -> str:
    """Render *overlay* now. Raises CalledProcessError when it cannot be."""
    command = renderer()
    assert command is not None, "ask renderer() first"
    folder = HERE / "overlays" / overlay
    done = subprocess.run([*command, folder], check=True, capture_output=True, text=True)
    return REMARK.format(source=f"overlays/{overlay}") + done.stdout


if __name__ == "__main__":
    sys.exit(main())
