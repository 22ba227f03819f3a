"""PgBouncer as deploy/ has it: valid, let through, large enough, and run with the same file."""

import os
import re
from collections.abc import Iterator
from configparser import ConfigParser
from inspect import signature
from pathlib import Path

import kubernetes_validate  # type: ignore[import-untyped]  # it carries none
import pytest
import yaml
from cryptography.fernet import Fernet
from sqlalchemy import text

from deploy.kubernetes import render
from models.database.engine import open_engine
from models.database.pooler import is_pooled
from tests.rules.test_deployment_network import (
    COMMANDS_AT_ONCE,
    KEDA_EACH,
    RESERVED,
    connections_max,
)
from tests.support.closed_port import closed_port
from tests.support.command_line import CommandLine
from tests.support.manifests import KUBERNETES, Cluster, cluster, compose, container
from tests.support.pooler import needs_pgbouncer, shipped_pgbouncer
from tests.support.sources import ROOT
from worker.intake.loop import BATCHES_MAX

COMPONENT = KUBERNETES / "components/pgbouncer"
CLIENTS = {"console", "deliver", "gateway", "intake", "sweep"}
# Transactions that one process has under way when all are busy: a deliverer records while it
# claims, a sweep has its round and the stats; those of HTTP are short.
AT_ONCE = {"intake": BATCHES_MAX, "deliver": 2, "sweep": 2, "gateway": 1, "console": 1}


@pytest.fixture
def pooled(tmp_path: Path) -> Cluster:
    """The large overlay with the component."""
    if render.renderer() is None:
        pytest.skip("neither kubectl nor kustomize is installed")
    ours = os.path.relpath(KUBERNETES, tmp_path)
    own = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "slipway",
        "resources": [f"{ours}/overlays/large"],
        "components": [f"{ours}/components/pgbouncer"],
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(own), encoding="utf-8")
    return Cluster("large", tuple(yaml.safe_load_all(render.rendered(str(tmp_path)))))


def configured() -> ConfigParser:
    file = ConfigParser(inline_comment_prefixes=(";",))
    lines = (COMPONENT / "pgbouncer.ini").read_text(encoding="utf-8").splitlines()
    file.read_string("\n".join(line for line in lines if not line.startswith("%include")))
    return file


def test_kubernetes_takes_it_and_the_rest_is_unchanged(pooled: Cluster):
    ours = {
        (each["kind"], each["metadata"]["name"])
        for each in pooled.documents
        if "pgbouncer" in each["metadata"]["name"]
    }

    assert {kind for kind, _ in ours} == {
        *("ConfigMap", "Deployment", "NetworkPolicy", "PodDisruptionBudget", "Service"),
    }
    for document in pooled.documents:
        if (document["kind"], document["metadata"]["name"]) in ours:
            kubernetes_validate.validate(document, "1.29", strict=True)
        else:
            assert document in cluster("large").documents


def test_its_pod_may_do_nothing(pooled: Cluster):
    pod = pooled.pods()["pgbouncer"]
    own = container(pod)["securityContext"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is pod["enableServiceLinks"] is False
    assert (own["readOnlyRootFilesystem"], own["capabilities"]) == (True, {"drop": ["ALL"]})


def test_those_who_work_with_the_database_are_let_through_and_nobody_else(pooled: Cluster):
    inward = pooled.one("NetworkPolicy", "pgbouncer")["spec"]
    outward = pooled.one("NetworkPolicy", "to-pgbouncer")["spec"]
    (allowed,) = inward["ingress"][0]["from"][0]["podSelector"]["matchExpressions"]
    (leaving,) = outward["podSelector"]["matchExpressions"]
    port = int(configured()["pgbouncer"]["listen_port"])

    assert set(allowed["values"]) == set(leaving["values"]) == CLIENTS
    assert outward["egress"][0]["ports"] == [{"protocol": "TCP", "port": port}]
    assert container(pooled.pods()["pgbouncer"])["ports"][0]["containerPort"] == port
    assert f"@pgbouncer:{port}/" in (COMPONENT / "secrets.example.yaml").read_text("utf-8")


def test_its_pools_are_as_large_as_the_page_says(pooled: Cluster):
    given, deployment = configured()["pgbouncer"], pooled.deployments()["pgbouncer"]["spec"]
    poolers, pool = deployment["replicas"], int(given["default_pool_size"])
    most = cluster("large").replicas_max()
    busy = sum(most[name] * transactions for name, transactions in AT_ONCE.items())
    clients = sum(2 * most[name] * each for name, each in connections_max().items())

    assert poolers * pool >= busy > poolers * (pool - 1)
    # The consoles' doctors open a second connection through a pooler.
    assert int(given["max_client_conn"]) > clients + 2 * most["console"] + COMMANDS_AT_ONCE
    surge = deployment["strategy"]["rollingUpdate"]["maxSurge"]
    migration = signature(open_engine).parameters["pool_size"].default
    needed = (poolers + surge) * pool + migration + KEDA_EACH + RESERVED
    page = (ROOT / "deploy/README.md").read_text(encoding="utf-8")
    (row,) = re.findall(
        r"^\| `large` behind PgBouncer \| (\d+) \| (\d+) \| (\d+) \|$", page, re.MULTILINE
    )
    assert [int(cell) for cell in row] == [poolers, pool, needed]


def test_compose_has_it_as_a_profile_with_the_same_file():
    service = compose()["services"]["pgbouncer"]
    url = compose()["services"]["release"]["environment"]["SLIPWAY_MIGRATION_DATABASE_URL"]

    assert service["profiles"] == ["pgbouncer"]
    assert [mount.split(":")[0] for mount in service["volumes"]] == [
        "./kubernetes/components/pgbouncer/pgbouncer.ini",
        "./pgbouncer/server.ini",
    ]
    assert "@postgres:5432/" in url


@pytest.fixture
def deployed(database: str, open_folder: Path) -> Iterator[str]:
    with shipped_pgbouncer(database, open_folder) as address:
        yield address


@needs_pgbouncer
def test_its_file_is_one_that_pgbouncer_takes_and_the_doctor_praises(
    deployed, database, monkeypatch, capsys
):
    engine = open_engine(deployed, application_name="tests", pool_size=1)
    with engine.begin() as connection:
        pooled = is_pooled(connection)
        limit = connection.execute(text("SHOW statement_timeout")).scalar_one()
    engine.dispose()
    line = CommandLine(monkeypatch, capsys)
    line.export(
        database_url=deployed,
        migration_database_url=database,
        redis_url=f"redis://127.0.0.1:{closed_port()}/0",
        secret_key=Fernet.generate_key().decode(),
    )
    states = {
        finding["part"]: (finding["state"], finding["detail"])
        for finding in line("doctor", "--json").document()["findings"]
    }

    assert (pooled, limit) == (True, "10s")
    assert states["connection pooler"][0] == states["migrations"][0] == "ok"
    assert "in transaction mode" in states["connection pooler"][1]
