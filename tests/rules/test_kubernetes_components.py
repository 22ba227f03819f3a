"""The components that an overlay may add: each is rendered on top of the small one."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]  # it carries none
import pytest
import yaml

from deploy.kubernetes import render
from models.settings.redis_address import redis_tls
from models.tracing.export_settings import ExportSettings, Sampling, export_settings
from tests.support.manifests import (
    KUBERNETES,
    Cluster,
    Document,
    cluster,
    container,
    example_secrets,
    with_components,
)
from tests.support.sources import ROOT

FOLDER = "/etc/slipway/redis"

pytestmark = pytest.mark.skipif(
    render.renderer() is None, reason="neither kubectl nor kustomize is installed"
)


@pytest.fixture
def with_certificates(tmp_path: Path) -> Cluster:
    return with_components("redis-certificates", folder=tmp_path)


def ports_of(cluster: Cluster, policy: str) -> list[int]:
    """Where a network policy lets out to."""
    (rule,) = cluster.one("NetworkPolicy", policy)["spec"]["egress"]
    return [port["port"] for port in rule["ports"]]


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
    behind = with_components("redis-sentinel", folder=tmp_path)
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


def test_all_who_use_redis_are_let_out_to_the_sentinels(tmp_path: Path) -> None:
    behind = with_components("redis-sentinel", folder=tmp_path)
    sentinels, redis = (
        behind.one("NetworkPolicy", name)["spec"] for name in ("redis-sentinels", "redis")
    )

    assert sentinels["podSelector"] == redis["podSelector"]
    assert ports_of(behind, "redis-sentinels") == [26379]


def test_those_that_export_spans_are_told_where_and_let_out_to_it(tmp_path: Path) -> None:
    traced = with_components("traces", folder=tmp_path)
    (config,) = traced.of_kind("ConfigMap")
    export = export_settings(config["data"])
    selector = traced.one("NetworkPolicy", "traces")["spec"]["podSelector"]
    (chosen,) = selector["matchExpressions"]
    let_out = chosen["values"]

    assert export == ExportSettings(Sampling(0.01))
    port = urlsplit(config["data"]["OTEL_EXPORTER_OTLP_ENDPOINT"]).port
    assert ports_of(traced, "traces") == [port]
    for name in let_out:
        (source, *_) = container(traced.pods()[name])["envFrom"]
        assert source["configMapRef"]["name"] == config["metadata"]["name"]


BOTH = ("redis-sentinel", "redis-certificates")


@pytest.mark.parametrize("names", [BOTH, BOTH[::-1]], ids=["as listed", "the other way round"])
def test_sentinels_and_certificates_go_together(tmp_path: Path, names: tuple[str, ...]) -> None:
    behind = with_components(*names, folder=tmp_path)
    trigger = behind.one("TriggerAuthentication", "slipway-redis")

    jsonschema.validate(trigger, schema_of(trigger))
    assert parameters(behind) == {
        "addresses": "redis-addresses",
        "sentinelMaster": "redis-sentinel-master",
        "sentinelPassword": "redis-sentinel-password",
        "username": "redis-username",
        "password": "redis-password",
        "tls": "redis-tls",
        "ca": "ca.crt",
        "cert": "tls.crt",
        "key": "tls.key",
    }


USUAL = (KUBERNETES / "components/servers/servers.example.yaml").read_text(encoding="utf-8")
MOVED = {"5432": "6543", "6379": "6380", "26379": "26380", "0": "3"}


@pytest.mark.parametrize(
    "names",
    [(), ("redis-certificates",), BOTH, ("pgbouncer",)],
    ids=["alone", "redis-certificates", "both", "pgbouncer"],
)
def test_ports_and_database_of_the_servers_are_named_in_one_place(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    moved = re.sub(r'"(\d+)"', lambda value: f'"{MOVED[value[1]]}"', USUAL)
    changed = with_components(*names, "servers", folder=tmp_path, resources={"servers.yaml": moved})
    (trigger,) = changed.one("ScaledObject", "intake")["spec"]["triggers"]
    policies = {each["metadata"]["name"] for each in changed.of_kind("NetworkPolicy")}

    assert trigger["metadata"]["databaseIndex"] == "3"
    expected = {"postgresql": 6543, "redis": 6380, "redis-sentinels": 26380, "pgbouncer": 6543}
    for name in expected.keys() & policies:
        assert ports_of(changed, name) == [expected[name]]
        kubernetes_validate.validate(changed.one("NetworkPolicy", name), "1.29", strict=True)
    assert "slipway-servers" not in {each["metadata"]["name"] for each in changed.documents}


def test_the_example_of_the_servers_changes_nothing(tmp_path: Path) -> None:
    usual = with_components("servers", folder=tmp_path, resources={"servers.yaml": USUAL})

    assert usual.documents == cluster("small").documents


def test_keda_looks_into_the_database_of_the_url() -> None:
    """Of the example: 0 in both."""
    url = example_secrets()["slipway"]["SLIPWAY_REDIS_URL"]
    (trigger,) = cluster("small").one("ScaledObject", "intake")["spec"]["triggers"]

    assert trigger["metadata"]["databaseIndex"] == urlsplit(url).path.lstrip("/")
    assert yaml.safe_load(USUAL)["data"]["redis-database"] == trigger["metadata"]["databaseIndex"]


def test_on_a_cluster_keda_asks_its_nodes(tmp_path: Path) -> None:
    on_cluster = with_components("redis-cluster", folder=tmp_path)
    scaled = on_cluster.one("ScaledObject", "intake")
    (trigger,) = scaled["spec"]["triggers"]
    (plain,) = cluster("small").one("ScaledObject", "intake")["spec"]["triggers"]
    secrets = parameters(on_cluster)

    jsonschema.validate(scaled, schema_of(scaled))
    assert trigger == plain | {"type": "redis-cluster-streams"}
    assert secrets.pop("addresses") == "redis-addresses"
    assert secrets.items() <= parameters(cluster("small")).items()


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
