"""Second opinions that come from npm: compose by dclint, custom resources by current releases."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.manifests import COMPOSE, OVERLAYS, cluster
from tests.support.npm_packages import install_packages, run_in

PACKAGES = (
    "dclint@3.1.0",
    "@kubernetes-models/keda@2.0.0",
    "@kubernetes-models/prometheus-operator@6.0.0",
)
# An order of keys that hides what belongs together is not worth having.
UNWANTED = ("service-keys-order", "top-level-properties-order")
VALIDATE = """
import { readFileSync } from "node:fs";
import * as keda from "@kubernetes-models/keda/keda.sh/v1alpha1";
import * as prometheus from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";
for (const document of JSON.parse(readFileSync(0))) {
  const Model = keda[document.kind] ?? prometheus[document.kind];
  new Model(document).validate();
}
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the packages are installed."""
    return install_packages(tmp_path_factory.mktemp("npm"), *PACKAGES)


def test_compose_is_valid_and_has_no_doubtful_line(packages):
    linter = str(packages / "node_modules/.bin/dclint")
    rules = [word for rule in UNWANTED for word in ("--disable-rule", rule)]

    done = run_in([linter, str(COMPOSE), "--max-warnings", "0", *rules], packages)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_linter_would_have_seen_a_mistake(packages):
    wrong = packages / "compose.yaml"
    wrong.write_text(COMPOSE.read_text(encoding="utf-8").replace("read_only: true", "read_only: 7"))

    done = run_in([str(packages / "node_modules/.bin/dclint"), str(wrong)], packages)

    assert done.returncode != 0
    assert "invalid-schema" in done.stdout


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_current_releases_take_our_custom_resources(packages, overlay):
    ours = [
        document
        for document in cluster(overlay).documents
        if document["apiVersion"].startswith(("keda.sh/", "monitoring.coreos.com/"))
    ]
    mistaken = json.loads(json.dumps(ours))
    next(document for document in mistaken if document["kind"] == "ScaledObject")["spec"][
        "minReplicaCount"
    ] = "2"

    assert validated(ours, packages).stderr == ""
    assert "minReplicaCount must be integer" in validated(mistaken, packages).stderr


def validated(documents: object, folder: Path) -> "subprocess.CompletedProcess[str]":
    script = folder / "validate.mjs"
    script.write_text(VALIDATE)
    return run_in(["node", str(script)], folder, json.dumps(documents))
