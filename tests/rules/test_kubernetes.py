"""What deploy/kubernetes renders is kept, fresh, and valid for every release that is supported."""

import json
from typing import Any

import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]  # published without types
import pytest
import yaml
from sqlalchemy import make_url

from deploy.kubernetes import render
from models.settings.addresses import database_address
from models.settings.redis_address import redis_tls
from models.settings.redis_tls import RedisTls
from tests.support.manifests import (
    COMPONENT,
    KUBERNETES,
    OVERLAYS,
    Cluster,
    cluster,
    container,
    example_secrets,
)

# The oldest one that knows every field we use without a feature gate, and the newest known.
RELEASES = ("1.29", kubernetes_validate.latest_version())
OURS = ("keda.sh", "monitoring.coreos.com")


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> Cluster:
    return cluster(request.param)


def test_the_alerts_are_those_of_prometheus():
    kept = render.RULE.read_text(encoding="utf-8")

    assert kept == render.rule(), "python -m deploy.kubernetes.render generates them"


@pytest.mark.skipif(render.renderer() is None, reason="neither kubectl nor kustomize is installed")
@pytest.mark.parametrize("name", OVERLAYS)
def test_the_kept_rendering_is_fresh(name):
    """Compared as documents: releases of kustomize quote differently."""
    fresh = tuple(yaml.safe_load_all(render.rendered(name)))

    assert cluster(name).documents == fresh, "python -m deploy.kubernetes.render generates it"


@pytest.mark.parametrize("release", RELEASES)
def test_kubernetes_takes_its_own_kinds(overlay, release):
    documents = [document for document in overlay.documents if group(document) not in OURS]

    assert len(documents) > 20
    for document in documents:
        kubernetes_validate.validate(document, release, strict=True)


def test_keda_and_the_prometheus_operator_take_theirs(overlay):
    documents = [document for document in overlay.documents if group(document) in OURS]

    assert {document["kind"] for document in documents} == {
        "PrometheusRule", "ScaledObject", "ServiceMonitor", "TriggerAuthentication",
    }  # fmt: skip
    for document in documents:
        jsonschema.validate(document, schema_of(document))


def test_a_field_that_a_schema_does_not_know_is_refused():
    """Or a mistyped field would pass: validators ignore what they do not know."""
    scaled = cluster("small").one("ScaledObject", "intake")
    mistyped = scaled | {"spec": scaled["spec"] | {"maxReplicas": 4}}

    with pytest.raises(jsonschema.ValidationError, match="maxReplicas"):
        jsonschema.validate(mistyped, schema_of(mistyped))


def test_the_example_secrets_are_valid_and_hold_what_is_asked_for(overlay):
    text = (KUBERNETES / "secrets.example.yaml").read_text(encoding="utf-8")
    for document in yaml.safe_load_all(text):
        kubernetes_validate.validate(document, RELEASES[0], strict=True)

    # A component may ask for one that no other installation needs.
    needless = {"slipway-proxy"} - {name for name, _ in mounted_by_pods(overlay)}
    referenced = set(secrets_asked_for(overlay))
    assert referenced == {
        (name, key)
        for name, keys in example_secrets().items()
        for key in keys
        if name not in needless
    }


def test_with_the_example_secrets_every_server_is_verified():
    secrets = example_secrets()
    for name in ("slipway", "slipway-gateway"):
        tls = redis_tls(secrets[name]["SLIPWAY_REDIS_URL"])
        assert tls == RedisTls()
    address = make_url(database_address(secrets["slipway"]["SLIPWAY_DATABASE_URL"]))
    assert address.query["sslmode"] == "verify-full"
    # psycopg's wheel has an OpenSSL of its own, without authorities: `system` trusts no server.
    assert address.query["sslrootcert"] == "/etc/ssl/certs/ca-certificates.crt"
    keda = secrets["slipway-scaling"]
    assert (keda["postgresql-sslmode"], keda["redis-tls"]) == ("verify-full", "enable")


def test_every_pod_runs_as_nobody_and_may_do_nothing(overlay):
    """The `restricted` standard of Kubernetes, and a read-only root file system."""
    for name, pod in overlay.pods().items():
        security, own = pod["securityContext"], container(pod)["securityContext"]
        assert security["runAsNonRoot"], name
        assert security["runAsUser"] == 10001, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert own["allowPrivilegeEscalation"] is False, name
        assert own["readOnlyRootFilesystem"] is True, name
        assert own["capabilities"] == {"drop": ["ALL"]}, name
        assert pod["automountServiceAccountToken"] is False, name
        # models/SETTINGS.md: a Service called slipway-… puts variables of its own among ours.
        assert pod["enableServiceLinks"] is False, name
        assert "hostNetwork" not in pod, name


def test_every_container_says_what_it_needs(overlay):
    for name, pod in overlay.pods().items():
        resources = container(pod)["resources"]
        assert resources["requests"].keys() == {"cpu", "memory"}, name
        # No limit of the processor: being throttled in mid-transaction holds locks.
        assert resources["limits"].keys() == {"memory"}, name


def test_pods_of_one_kind_keep_apart(overlay):
    for name, deployment in overlay.deployments().items():
        spread = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert [constraint["topologyKey"] for constraint in spread] == [
            "topology.kubernetes.io/zone", "kubernetes.io/hostname",
        ], name  # fmt: skip
        assert all(COMPONENT in constraint["matchLabelKeys"] for constraint in spread), name


def test_what_may_be_several_is_and_a_drain_takes_one_at_a_time(overlay):
    several = {"gateway", "console", "intake", "deliver", "sweep"}
    budgets = {
        document["metadata"]["name"]: document["spec"]
        for document in overlay.of_kind("PodDisruptionBudget")
    }

    assert budgets.keys() == several
    for name, budget in budgets.items():
        assert budget["maxUnavailable"] == 1
        assert budget["selector"] == overlay.deployments()[name]["spec"]["selector"]
    assert all(most >= 2 for name, most in overlay.replicas_max().items() if name in several)


def test_there_is_one_beat_even_while_it_is_replaced(overlay):
    """A wakeup sent twice would be harmless, but a second beat is of no use."""
    beat = overlay.deployments()["beat"]["spec"]

    assert (beat["replicas"], beat["strategy"]) == (1, {"type": "Recreate"})


def test_who_is_scaled_has_no_number_that_applying_again_would_reset(overlay):
    scaled = [*overlay.of_kind("ScaledObject"), *overlay.of_kind("HorizontalPodAutoscaler")]

    for document in scaled:
        target = document["spec"]["scaleTargetRef"]["name"]
        assert "replicas" not in overlay.deployments()[target]["spec"], target


def group(document: dict[str, Any]) -> str:
    return str(document["apiVersion"]).partition("/")[0]


def schema_of(document: dict[str, Any]) -> dict[str, Any]:
    file = KUBERNETES / f"schemas/{document['kind'].lower()}.json"
    schema: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return schema


def secrets_asked_for(overlay: Cluster) -> list[tuple[str, str]]:
    keys = [*asked_by_pods(overlay), *mounted_by_pods(overlay)]
    for document in overlay.of_kind("TriggerAuthentication"):
        keys += [(ref["name"], ref["key"]) for ref in document["spec"]["secretTargetRef"]]
    return keys


def asked_by_pods(overlay: Cluster) -> list[tuple[str, str]]:
    """Return what a pod does not start without."""
    variables = [each for pod in overlay.pods().values() for each in container(pod).get("env", [])]
    refs = [variable["valueFrom"]["secretKeyRef"] for variable in variables]
    return [(ref["name"], ref["key"]) for ref in refs if not ref.get("optional")]


def mounted_by_pods(overlay: Cluster) -> list[tuple[str, str]]:
    names = [
        volume["secret"]["secretName"]
        for pod in overlay.pods().values()
        for volume in pod["volumes"]
        if "secret" in volume
    ]
    return [(name, key) for name in names for key in example_secrets()[name]]
