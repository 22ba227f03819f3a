#!/usr/bin/env python
"""Extracts schemas of custom resources from npm: `python -m deploy.kubernetes.schemas.extract`.

Each module of the packages below contains its schema as JSON; later releases contain only compiled
code. It needs npm and a network. README.md says what the schemas are, and who wrote them.
"""

import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
PACKAGES: Final = {
    "@kubernetes-models/keda@0.3.1": ("keda.sh", "v1alpha1"),
    "@kubernetes-models/prometheus-operator@4.0.0": ("monitoring.coreos.com", "v1"),
}
KINDS: Final = {
    "keda.sh": ("ScaledObject", "TriggerAuthentication"),
    "monitoring.coreos.com": ("PrometheusRule", "ServiceMonitor"),
}
SCHEMA: Final = re.compile(r"^const schema = (\{.*?^\});", re.DOTALL | re.MULTILINE)


def main() -> int:
    """Write one file for each kind."""
    for package, (group, version) in PACKAGES.items():
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True)  # noqa: S607 - the developer's own npm
            (archive,) = Path(folder).glob("*.tgz")
            with tarfile.open(archive) as packed:
                packed.extractall(folder, filter="data")
            for kind in KINDS[group]:
                module = Path(folder, "package", group, version, f"{kind}.js")
                match = SCHEMA.search(module.read_text(encoding="utf-8"))
                assert match is not None, f"{package} has no JSON schema of {kind}"
                text = json.dumps(strict(json.loads(match[1])), indent=1, sort_keys=True)
                (HERE / f"{kind.lower()}.json").write_text(text + "\n", encoding="utf-8")
    return 0


def strict(schema: Any) -> Any:  # noqa: ANN401 - any JSON
    """Reject unknown fields, and leave metadata to the schemas of Kubernetes."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in json.dumps(schema.get("oneOf", [])):
        return {"type": "object"}  # the metadata
    closed = {name: strict(part) for name, part in schema.items()}
    if schema.get("nullable") and "type" in schema:
        closed["type"] = [closed.pop("type"), "null"]
    if schema.get("properties") and "additionalProperties" not in schema:
        closed["additionalProperties"] = False
    return closed


if __name__ == "__main__":
    sys.exit(main())
