"""Ports, names and numbers on the way from outside to a process, and to the servers behind it."""

import ast
import re
from inspect import signature
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi import APIRouter

from deploy.image.dockerfile import read_steps
from models.database.engine import open_engine
from models.events.stream_contract import GROUP, STREAM
from producers.gateway.app import build_app
from producers.gateway.gateway import PROBE_CONNECTIONS
from producers.gateway.limits import Limits
from tests.support.manifests import (
    COMPONENT,
    OVERLAYS,
    Cluster,
    cluster,
    compose,
    container,
)
from tests.support.sources import PRODUCT, ROOT, modules
from worker.celery.configuration import POOL_SIZE
from worker.console import probes
from worker.console.console import PROBE_CONNECTIONS as CONSOLE_PROBE_CONNECTIONS
from worker.console.limits import ConsoleLimits
from worker.delivery.http.address_policy import may_connect
from worker.metrics.collector import POOL_SIZE as STATS_POOL_SIZE

WORKERS = ("intake", "deliver", "sweep")
INSIDE = {"/docs", "/healthz", "/metrics", "/openapi.json", "/readyz"}
# The modules that open an engine in a process that stays; a command has one connection.
ENGINES = {
    "models/migrations/runner.py": 1,
    "producers/gateway/gateway.py": 1,
    "worker/celery/dependencies.py": 2,
    "worker/console/console.py": 1,
    "worker/doctor/checks.py": 1,
    "worker/doctor/pooler.py": 2,  # one after the other, when that of the checks is closed
    "worker/doctor/standbys.py": 1,  # as well
}
BY_HAND = ("worker/cli/", "models/database/engine.py")
COMMANDS_AT_ONCE = 3
DOCTOR = 1  # the connection of its checks, of which a console runs one at a time
KEDA_EACH = 2  # a trigger: its look, and the one that the autoscaler asks for
RESERVED = 3  # PostgreSQL's superuser_reserved_connections
STEPS = read_steps(ROOT / "deploy/Dockerfile")


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> Cluster:
    return cluster(request.param)


def test_ports_lead_from_the_settings_to_those_who_connect(overlay):
    settings = overlay.settings()
    ports = {name: container(pod).get("ports", []) for name, pod in overlay.pods().items()}
    named = {port["name"]: port["containerPort"] for own in ports.values() for port in own}
    expected = {
        "http": settings.gateway_port,
        "console": settings.console_port,
        "pages": settings.flower_port,
        "metrics": settings.metrics_port,
    }

    assert named == expected
    (exposed,) = (step.words() for step in STEPS if step.name == "EXPOSE")
    assert {int(port) for port in exposed} == set(expected.values())
    for service in overlay.of_kind("Service"):
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= expected.keys()
    for service, named_port in (("gateway", "http"), ("console", "console"), ("flower", "pages")):
        (published,) = compose()["services"][service]["ports"]
        port = expected[named_port]
        assert published == f"127.0.0.1:{port}:{port}"


def test_prometheus_reaches_every_process(overlay):
    service = overlay.one("Service", "metrics")
    monitor = overlay.one("ServiceMonitor", "slipway")["spec"]
    policy = overlay.one("NetworkPolicy", "metrics")["spec"]
    names = {port["name"] for port in service["spec"]["ports"]}

    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert {endpoint["port"] for endpoint in monitor["endpoints"]} == names
    assert {port["port"] for port in policy["ingress"][0]["ports"]} == names
    for name, deployment in overlay.deployments().items():
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert service["spec"]["selector"].items() <= labels.items(), name
        assert {port["name"] for port in container(overlay.pods()[name])["ports"]} & names, name


def test_what_is_for_outside_is_on_the_ingress_and_nothing_else(overlay):
    """Probes, metrics and docs do not go through the ingress."""
    (rule,) = overlay.one("Ingress", "gateway")["spec"]["rules"]
    ways = [(path["path"], path["pathType"]) for path in rule["http"]["paths"]]
    served = build_app(overlay.settings()).openapi()["paths"].keys() | INSIDE
    outside = {path for path in served if any(leads(*way, to=path) for way in ways)}

    assert outside == served - INSIDE
    assert all(any(leads(*way, to=path) for path in outside) for way in ways)


def test_probes_and_metrics_of_the_console_are_refused_to_those_outside(overlay):
    """Its pages are below `/`, so what stays inside has paths of its own there."""
    whole, inside = (overlay.one("Ingress", name) for name in ("console", "console-inside"))
    (rule,), (refused,) = whole["spec"]["rules"], inside["spec"]["rules"]
    address = urlsplit(overlay.settings().console_url or "")

    assert [path["path"] for path in rule["http"]["paths"]] == ["/"]
    paths = {(path["path"], path["pathType"]) for path in refused["http"]["paths"]}
    assert paths == {(path, "Exact") for path in served_by(probes.routes)}
    allowed = inside["metadata"]["annotations"][
        "nginx.ingress.kubernetes.io/whitelist-source-range"
    ]
    assert allowed == "127.0.0.1/32"
    assert (address.scheme, address.hostname) == ("https", rule["host"])
    assert refused["host"] == rule["host"]


def test_nobody_is_let_in_or_out_but_by_name(overlay):
    policies = {
        document["metadata"]["name"]: document["spec"]
        for document in overlay.of_kind("NetworkPolicy")
    }
    components = overlay.pods().keys()

    assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert chosen(policies["postgresql"]) == components - {"beat", "flower"}
    assert chosen(policies["redis"]) == components - {"migrate"}
    assert chosen(policies["partners"]) == {"console", "deliver"}


def test_names_are_asked_of_every_usual_dns_and_of_nobody_else(overlay):
    """The ports are those of the pods: policies see no Service's address."""
    policy = overlay.one("NetworkPolicy", "names")["spec"]
    pods, node, openshift = policy["egress"]

    assert policy["podSelector"] == {}
    (cluster_dns,) = pods["to"]
    (labels,) = cluster_dns["podSelector"]["matchExpressions"]
    assert namespace_of(cluster_dns) == "kube-system"
    assert (labels["key"], labels["operator"]) == ("k8s-app", "In"), "not a label of ours"
    assert {"kube-dns", "coredns", "node-local-dns"} == {*labels["values"]}
    assert {peer["ipBlock"]["cidr"] for peer in node["to"]} == {
        "169.254.20.10/32",  # node-local DNS
        "169.254.169.254/32",  # Cloud DNS for GKE; by this port not the metadata server
    }
    assert [namespace_of(peer) for peer in openshift["to"]] == ["openshift-dns"]
    for rule, port in ((pods, 53), (node, 53), (openshift, 5353)):
        assert {(each["protocol"], each["port"]) for each in rule["ports"]} == {
            ("UDP", port),
            ("TCP", port),
        }


def test_partners_have_public_addresses_of_either_family(overlay):
    """What the policy shuts out the deliverers refuse, too; what both let through is public."""
    (rule,) = overlay.one("NetworkPolicy", "partners")["spec"]["egress"]
    blocks = {
        peer["ipBlock"]["cidr"]: [ip_network(each) for each in peer["ipBlock"]["except"]]
        for peer in rule["to"]
    }
    closed_4, closed_6 = blocks["0.0.0.0/0"], blocks["::/0"]

    assert blocks.keys() == {"0.0.0.0/0", "::/0"}
    for network in (*closed_4, *closed_6):
        for address in (network[0], network[-1]):
            assert not may_connect(str(address), allowed=()), network
    translated = {ip_network(f"64:ff9b::{each[0]}/{96 + each.prefixlen}") for each in closed_4}
    assert translated <= {*closed_6}, "NAT64, in a cluster that has IPv6 alone"
    own = ("::", "::1", "fc00::1", "fdff::1", "fe80::1", "ff02::1", "64:ff9b:1::1")
    assert all(any(ip_address(each) in network for network in closed_6) for each in own)
    for public in ("2a00:1450:4001::1", "64:ff9b::808:808"):
        assert may_connect(public, allowed=())
        assert not any(ip_address(public) in network for network in closed_6)


def test_postgresql_needs_as_many_connections_as_the_page_says(overlay):
    most = overlay.replicas_max()
    # Pods that were told to end do not count for the deployment that starts the next ones: while
    # it goes on, all of the old may still be ending.
    pods = sum(2 * most[name] * connections for name, connections in connections_max().items())
    triggers = [
        trigger
        for document in overlay.of_kind("ScaledObject")
        for trigger in document["spec"]["triggers"]
        if trigger["type"] == "postgresql"
    ]
    migration = signature(open_engine).parameters["pool_size"].default
    needed = pods + migration + KEDA_EACH * len(triggers) + COMMANDS_AT_ONCE + RESERVED

    page = (ROOT / "deploy/README.md").read_text(encoding="utf-8")
    pools = (
        "a gateway {gateway}, an intake or a deliverer {intake}, a sweep {sweep}"
        " (one of them collects the stats), a console {console} ("
    )
    assert pools.format(**connections_max()) in " ".join(page.split())
    (documented,) = re.findall(
        rf"\| `{overlay.overlay}` \|.*\| (\d+) \|$", page, flags=re.MULTILINE
    )
    assert int(documented) == needed


def test_nobody_opens_connections_that_the_page_does_not_count():
    opened = {
        str(path): engines
        for path, source in modules(*PRODUCT)
        if not str(path).startswith(BY_HAND) and (engines := engines_opened(source))
    }

    assert opened == ENGINES


def test_keda_counts_the_stream_and_the_group_that_are_read(overlay):
    (trigger,) = overlay.one("ScaledObject", "intake")["spec"]["triggers"]

    assert trigger["metadata"]["stream"] == STREAM
    assert trigger["metadata"]["consumerGroup"] == GROUP
    # One pod for what it applies in a fraction of a second would start pods for nothing.
    assert int(trigger["metadata"]["lagCount"]) > 2 * overlay.settings().chunk_size


def connections_max() -> dict[str, int]:
    """How many connections one process of each kind opens at the most: the sizes of its pools."""
    return {
        "gateway": Limits().threads + PROBE_CONNECTIONS,
        "console": ConsoleLimits().threads + CONSOLE_PROBE_CONNECTIONS + DOCTOR,
        **dict.fromkeys(WORKERS, POOL_SIZE),
        "sweep": POOL_SIZE + STATS_POOL_SIZE,
    }


def engines_opened(source: str) -> int:
    """Count the places where *source* opens an engine, and with it a pool of connections."""
    calls = (node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    names = [ast.unparse(function).rpartition(".")[2] for function in calls]
    return names.count("open_engine") + names.count("create_engine")


def namespace_of(peer: dict[str, Any]) -> str:
    return str(peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"])


def served_by(routes: APIRouter) -> set[str]:
    return {path for route in routes.routes if (path := getattr(route, "path", None))}


def leads(way: str, kind: str, *, to: str) -> bool:
    """Return whether an Ingress path of this kind takes in requests for *to*."""
    return to == way or (kind == "Prefix" and to.startswith(f"{way}/"))


def chosen(policy: dict[str, Any]) -> set[str]:
    (expression,) = policy["podSelector"]["matchExpressions"]
    assert (expression["key"], expression["operator"]) == (COMPONENT, "In")
    return set(expression["values"])
