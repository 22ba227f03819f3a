"""The components that an overlay may add: each is rendered on top of the small one."""

import os
from pathlib import Path

import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]  # it carries none
import pytest
import yaml

from deploy.kubernetes import render
from models.settings.redis_address import redis_tls
from tests.support.manifests import KUBERNETES, Cluster, Document, cluster, container
from tests.support.sources import ROOT

FOLDER = "/etc/slipway/redis"

pytestmark = pytest.mark.skipif(
    render.renderer() is None, reason="neither kubectl nor kustomize is installed"
)


@pytest.fixture
def with_certificates(tmp_path: Path) -> Cluster:
    return with_component("redis-certificates", tmp_path)


def with_component(name: str, folder: Path) -> Cluster:
    """Render an overlay of an operator's own."""
    ours = os.path.relpath(KUBERNETES, folder)
    own = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [f"{ours}/overlays/small"],
        "components": [f"{ours}/components/{name}"],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(own), encoding="utf-8")
    return Cluster(name, tuple(yaml.safe_load_all(render.rendered(str(folder)))))


def parameters(cluster: Cluster) -> dict[str, str]:
    """What KEDA is given of Secrets for Redis."""
    trigger = cluster.one("TriggerAuthentication", "slipway-redis")
    return {each["parameter"]: each["key"] for each in trigger["spec"]["secretTargetRef"]}


def test_redis_certificates_reach_every_pod_and_keda(with_certificates: Cluster) -> None:
    pods = with_certificates.pods()

    assert pods.keys() == cluster("small").pods().keys()
    for pod in pods.values():
        mounts = {each["name"]: each["mountPath"] for each in container(pod)["volumeMounts"]}
        (volume,) = [each for each in pod["volumes"] if each["name"] == "redis-certificates"]
        assert mounts["redis-certificates"] == FOLDER
        assert volume["secret"]["secretName"] == "slipway-redis-certificates"
    assert parameters(with_certificates) == parameters(cluster("small")) | {
        "ca": "ca.crt",
        "cert": "tls.crt",
        "key": "tls.key",
    }


def test_kubernetes_takes_them(with_certificates: Cluster) -> None:
    trigger = with_certificates.one("TriggerAuthentication", "slipway-redis")

    jsonschema.validate(trigger, schema_of(trigger))
    for document in with_certificates.deployments().values():
        kubernetes_validate.validate(document, "1.29", strict=True)


def test_behind_sentinel_keda_asks_them_for_the_primary(tmp_path: Path) -> None:
    behind = with_component("redis-sentinel", tmp_path)
    scaled = behind.one("ScaledObject", "intake")
    (trigger,) = scaled["spec"]["triggers"]
    (plain,) = cluster("small").one("ScaledObject", "intake")["spec"]["triggers"]

    jsonschema.validate(scaled, schema_of(scaled))
    assert trigger == plain | {"type": "redis-sentinel-streams"}
    assert parameters(behind).items() >= {
        ("addresses", "redis-addresses"),
        ("sentinelMaster", "redis-sentinel-master"),
        ("sentinelPassword", "redis-sentinel-password"),
    }


def test_the_page_names_the_files_where_they_are() -> None:
    page = (ROOT / "deploy/SECRETS.md").read_text(encoding="utf-8")
    (options,) = [line for line in page.splitlines() if line.startswith("`?ssl_ca_certs=")]

    tls = redis_tls(f"rediss://redis.example.com/0{options.strip('`:')}")

    assert tls is not None
    assert tls.files == {
        "ssl_ca_certs": f"{FOLDER}/ca.crt",
        "ssl_certfile": f"{FOLDER}/tls.crt",
        "ssl_keyfile": f"{FOLDER}/tls.key",
    }


def schema_of(document: Document) -> Document:
    path = KUBERNETES / f"schemas/{document['kind'].lower()}.json"
    schema: Document = yaml.safe_load(path.read_text(encoding="utf-8"))
    return schema
