"""The way to partners in the deployment: the proxy, its password, the authorities, the policies."""

import re
from ipaddress import ip_network
from pathlib import PurePosixPath
from urllib.parse import urlsplit

import pytest

from models.settings.egress import parse_proxy
from models.settings.settings import Settings
from tests.support.manifests import COMPOSE, cluster, compose, container, example_secrets
from tests.support.sources import ROOT

CALLERS = {"console", "deliver"}  # the console pings
PROXIED = cluster("proxied")
GIVEN = {
    "partner_ca_file", "partner_contact", "partner_no_proxy", "partner_proxy_file",
    "partner_proxy_networks",
}  # fmt: skip


@pytest.fixture
def settings() -> Settings:
    return PROXIED.settings()


def mounts(component: str) -> dict[PurePosixPath, str]:
    """The folders of a pod, and the Secrets and ConfigMaps that are mounted there."""
    pod = PROXIED.pods()[component]
    sources = {
        volume["name"]: volume.get("secret", {}).get("secretName")
        or volume.get("configMap", {}).get("name")
        for volume in pod["volumes"]
    }
    return {
        PurePosixPath(mount["mountPath"]): sources[mount["name"]]
        for mount in container(pod)["volumeMounts"]
        if sources[mount["name"]]
    }


def test_all_that_leads_to_partners_is_set_by_the_components(settings):
    assert settings.model_fields_set >= GIVEN


def test_the_files_that_the_settings_name_are_mounted_where_partners_are_called(settings):
    proxy, authorities = settings.partner_proxy_file, settings.partner_ca_file

    assert proxy.name in example_secrets()["slipway-proxy"]
    expected = {
        PurePosixPath(proxy.parent): "slipway-proxy",
        PurePosixPath(authorities.parent): "partner-authorities",
    }
    for component in PROXIED.pods():
        assert mounts(component) == (expected if component in CALLERS else {}), component
    page = (ROOT / "deploy/PARTNERS.md").read_text(encoding="utf-8")
    assert f"create configmap partner-authorities --from-file={authorities.name}" in page


def test_the_secret_is_an_address_of_a_proxy_and_the_group_alone_reads_it():
    address = parse_proxy(example_secrets()["slipway-proxy"]["address"])

    assert address.address == "http://proxy.example.com:3128"
    for component in CALLERS:
        pod = PROXIED.pods()[component]
        (secret,) = (volume["secret"] for volume in pod["volumes"] if "secret" in volume)
        assert secret["defaultMode"] == 0o440
        assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]


def test_the_policy_lets_those_who_call_partners_out_to_the_proxy_and_nobody_else(settings):
    policy = PROXIED.one("NetworkPolicy", "partner-proxy")["spec"]
    (rule,) = policy["egress"]
    (target,), (port,) = rule["to"], rule["ports"]
    address = urlsplit(example_secrets()["slipway-proxy"]["address"])

    assert policy["policyTypes"] == ["Egress"]
    (expression,) = policy["podSelector"]["matchExpressions"]
    assert set(expression["values"]) == CALLERS
    assert ip_network(target["ipBlock"]["cidr"]) in settings.partner_proxy_networks
    assert port == {"protocol": "TCP", "port": address.port}


@pytest.mark.parametrize("overlay", ["small", "large"])
def test_other_installations_know_nothing_of_it(overlay):
    assert not cluster(overlay).settings().model_fields_set & GIVEN
    names = {policy["metadata"]["name"] for policy in cluster(overlay).of_kind("NetworkPolicy")}
    assert "partner-proxy" not in names


def test_compose_mounts_the_authorities_where_the_setting_says_and_only_if_there_are_any():
    (variable,) = {
        compose()["services"][name]["environment"]["SLIPWAY_PARTNER_CA_FILE"] for name in CALLERS
    }
    (mount,), (same,) = (compose()["services"][name]["volumes"] for name in CALLERS)
    target = re.fullmatch(r"\$\{PARTNER_CA_FILE:\+(/[\w/.]+)\}", variable)

    assert target is not None
    assert mount == same == f"${{PARTNER_CA_FILE:-/dev/null}}:{target[1]}:ro"
    text = COMPOSE.read_text(encoding="utf-8")
    proxies = re.findall(r"SLIPWAY_PARTNER_(?:CONTACT|NO_PROXY|PROXY|PROXY_NETWORKS): ", text)
    assert len(proxies) == 4
