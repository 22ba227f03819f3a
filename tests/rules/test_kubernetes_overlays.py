"""What an operator's overlay may change: balancers, images by digest, Flower for people outside."""

import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]  # it carries none
import pytest
import yaml
from dockerfile_parse import DockerfileParser

from deploy.kubernetes import deregistration, render
from tests.rules.test_deployment_agrees import pause_before_the_end, uvicorn_waits
from tests.support.manifests import (
    KUBERNETES,
    Cluster,
    Document,
    cluster,
    compose,
    container,
    with_components,
)
from tests.support.sources import ROOT

PAGE = (ROOT / "deploy/README.md").read_text(encoding="utf-8")
DIGEST = f"sha256:{'0123456789abcdef' * 4}"
SERVING = {"gateway", "console", "flower"}

rendered = pytest.mark.skipif(
    render.renderer() is None, reason="neither kubectl nor kustomize is installed"
)


# --- balancers in IP mode ---


@rendered
@pytest.mark.parametrize("seconds", [1, 45, 300])
def test_a_pod_goes_on_serving_for_as_long_as_the_balancer_takes(tmp_path: Path, seconds: int):
    (tmp_path / "patch.yaml").write_text(deregistration.patch(seconds), encoding="utf-8")
    changed = with_components(folder=tmp_path, patches=[{"path": "patch.yaml"}])
    usual = cluster("small")

    for name, pod in changed.pods().items():
        before = usual.pods()[name]
        if name not in SERVING:
            assert pod == before
            continue
        kubernetes_validate.validate(changed.deployments()[name], "1.29", strict=True)
        assert pause_before_the_end(changed, name) == seconds
        left = pod["terminationGracePeriodSeconds"] - seconds
        assert left == before["terminationGracePeriodSeconds"] - pause_before_the_end(usual, name)
        if name != "flower":
            assert left > uvicorn_waits(name)
        assert container(pod) | {"lifecycle": None} == container(before) | {"lifecycle": None}


@pytest.mark.parametrize("wrong", [[], ["45s"], ["-1"], ["0"], ["3601"], ["1", "2"], ["4.5"]])
def test_a_pause_that_is_no_number_of_seconds_is_refused(wrong: list[str]):
    done = subprocess.run(
        [sys.executable, "-m", "deploy.kubernetes.deregistration", *wrong],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert "SECONDS, whole ones from 1 to 3600" in done.stderr


# --- images by digest ---


@rendered
def test_the_overlay_on_the_page_names_every_image_by_its_digest(tmp_path: Path):
    (sample,) = re.findall(r"^    images:\n(?:    .*\n)+", PAGE, re.MULTILINE)
    images = yaml.safe_load(sample.replace("sha256:…", DIGEST))["images"]

    pinned = with_components("pgbouncer", folder=tmp_path, images=images)

    named = {container(pod)["image"] for pod in pinned.pods().values()}
    assert named == {
        f"registry.example.com/slipway@{DIGEST}",
        f"edoburu/pgbouncer@{DIGEST}",
    }


def test_every_foreign_image_of_compose_is_a_variable_with_a_release_by_default():
    for name, service in compose()["services"].items():
        if not service["image"].startswith("slipway"):
            assert re.fullmatch(
                rf"\$\{{{name.upper()}_IMAGE:-[\w/]+:v?\d[\w.-]*\}}", service["image"]
            )


def test_the_python_of_the_image_may_be_named_by_its_digest(tmp_path: Path):
    by_digest = f"python:3.11-slim@{DIGEST}"
    (tmp_path / "Dockerfile").write_bytes((ROOT / "deploy/Dockerfile").read_bytes())
    parser = DockerfileParser(str(tmp_path), build_args={"PYTHON_IMAGE": by_digest})
    (built,) = {
        service["build"]["args"]["PYTHON_IMAGE"]
        for service in compose()["services"].values()
        if "build" in service
    }

    assert parser.parent_images == [by_digest, by_digest]
    default = DockerfileParser(str(tmp_path)).parent_images[0]
    assert built == f"${{PYTHON_IMAGE:-{default}}}"


# --- Flower ---


@pytest.fixture(params=[(), ("flower-tls",)], ids=["plain", "tls"])
def outside(request: pytest.FixtureRequest, tmp_path: Path) -> Cluster:
    if render.renderer() is None:
        pytest.skip("neither kubectl nor kustomize is installed")
    return with_components("flower-outside", *request.param, folder=tmp_path)


def variables(outside: Cluster) -> dict[str, str]:
    env = container(outside.pods()["flower"])["env"]
    return {each["name"]: each["value"] for each in env if "value" in each}


def flower_endpoint(outside: Cluster) -> Document:
    endpoints = outside.one("ServiceMonitor", "slipway")["spec"]["endpoints"]
    (endpoint,) = (each for each in endpoints if each["port"] == "pages")
    assert isinstance(endpoint, dict)
    return endpoint


def test_flower_is_reached_below_its_prefix_and_not_without_a_password(outside: Cluster):
    prefix = variables(outside)["FLOWER_URL_PREFIX"]
    (rule,) = outside.one("Ingress", "flower")["spec"]["rules"]
    (inside,) = outside.one("Ingress", "flower-inside")["spec"]["rules"]
    (console,) = outside.one("Ingress", "console")["spec"]["rules"]

    assert [path["path"] for path in rule["http"]["paths"]] == [prefix]
    assert {(path["path"], path["pathType"]) for path in inside["http"]["paths"]} == {
        (f"{prefix}/metrics", "Exact"),
        (f"{prefix}/healthcheck", "Exact"),
    }
    annotations = outside.one("Ingress", "flower-inside")["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/whitelist-source-range"] == "127.0.0.1/32"
    assert rule["host"] == inside["host"] == console["host"]
    assert flower_endpoint(outside)["path"] == f"{prefix}/metrics"
    policies = [outside.one("NetworkPolicy", name)["spec"] for name in ("flower", "console")]
    assert policies[0]["ingress"][0]["from"] == policies[1]["ingress"][0]["from"]


def test_what_flower_s_components_add_is_valid(outside: Cluster):
    for kind, name in (
        ("Deployment", "flower"),
        ("Ingress", "flower"),
        ("Ingress", "flower-inside"),
        ("NetworkPolicy", "flower"),
        ("Service", "flower"),
    ):
        kubernetes_validate.validate(outside.one(kind, name), "1.29", strict=True)
    schema = yaml.safe_load((KUBERNETES / "schemas/servicemonitor.json").read_text("utf-8"))
    jsonschema.validate(outside.one("ServiceMonitor", "slipway"), schema)


@rendered
def test_with_tls_everyone_speaks_it_and_the_files_are_mounted(tmp_path: Path):
    outside = with_components("flower-outside", "flower-tls", folder=tmp_path)
    pod, given = outside.pods()["flower"], variables(outside)
    mounts = {each["mountPath"]: each["name"] for each in container(pod)["volumeMounts"]}
    (volume,) = (each for each in pod["volumes"] if each["name"] == mounts["/etc/slipway/flower"])

    assert given["FLOWER_CERTFILE"] == "/etc/slipway/flower/tls.crt"
    assert given["FLOWER_KEYFILE"] == "/etc/slipway/flower/tls.key"
    assert volume["secret"] == {"secretName": "slipway-flower-tls", "defaultMode": 0o440}
    assert flower_endpoint(outside)["scheme"] == "https"
    for name in ("flower", "flower-inside"):
        annotations = outside.one("Ingress", name)["metadata"]["annotations"]
        assert annotations["nginx.ingress.kubernetes.io/backend-protocol"] == "HTTPS"
