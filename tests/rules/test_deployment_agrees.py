"""Settings that stand in several places, and must agree where they meet."""

import re
from datetime import timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet

from deploy.image import probe
from deploy.image.dockerfile import read_steps
from models.operators.delivery_terms import TIMEOUT_MAX
from models.settings.errors import variable_name
from models.settings.settings import Settings
from tests.support.manifests import OVERLAYS, Cluster, cluster, compose, container
from tests.support.procfile_processes import LINES, PROCFILE
from tests.support.sources import ROOT
from worker.celery.configuration import configuration
from worker.intake.loop import FINISHING_MAX

WORKERS = ("intake", "deliver", "sweep")
HOPELESS = timedelta(seconds=32)  # kombu's longest pause before it looks for a broker again
KNOWN = {variable_name(field) for field in Settings.model_fields}
PROXY_IDLE_SECONDS = 60  # nginx (upstream keepalive_timeout) and AWS load balancers
PROBES = {"startupProbe": "alive", "livenessProbe": "alive", "readinessProbe": "ready"}
STEPS = read_steps(ROOT / "deploy/Dockerfile")


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> Cluster:
    return cluster(request.param)


def test_every_process_of_the_procfile_is_a_deployment_and_nothing_else_is(overlay):
    """The entry point looks the command up in the Procfile, so the two cannot differ."""
    assert PROCFILE.release is not None

    run = {name: container(pod)["args"] for name, pod in overlay.pods().items()}
    assert run == {name: [name] for name in LINES} | {"migrate": [PROCFILE.release.name]}
    assert not any("command" in container(pod) for pod in overlay.pods().values())
    assert listed("ENTRYPOINT")[-1] == "start"


def test_every_process_of_the_procfile_is_a_service_of_compose():
    names = {*LINES, "release"}
    services = compose()["services"]

    assert {name: services[name]["command"] for name in names} == {name: [name] for name in names}
    assert all("entrypoint" not in service for service in services.values())


def test_every_variable_is_a_setting_and_together_they_are_accepted(overlay):
    (config,) = overlay.of_kind("ConfigMap")

    assert config["data"].keys() <= KNOWN
    assert overlay.settings().bind_address == "0.0.0.0"  # noqa: S104 - as a container must


def test_compose_gives_every_process_settings_that_are_accepted():
    for name in (*LINES, "release"):
        given = compose()["services"][name]["environment"]
        assert {variable for variable in given if variable.startswith("SLIPWAY_")} <= KNOWN, name
        # Each has its own secrets only; `deliver` has all.
        whole = compose()["services"]["deliver"]["environment"] | given
        assert built_from(whole).metrics_port == cluster("small").settings().metrics_port


def test_what_is_told_to_end_has_the_time_to(overlay):
    """The grace is longer than the longest task, so that a warm shutdown can finish it."""
    celery = configuration(overlay.settings())
    graces = {name: pod["terminationGracePeriodSeconds"] for name, pod in overlay.pods().items()}

    for name in WORKERS:
        assert graces[name] >= celery["task_time_limit"] + 15
        assert graces[name] > finishing_seconds()
        assert compose()["services"][name]["stop_grace_period"] == f"{graces[name]}s"
    assert graces["flower"] > pause_before_the_end(overlay, "flower")
    for name in ("gateway", "console"):
        assert graces[name] > pause_before_the_end(overlay, name) + uvicorn_waits(name)
        assert compose()["services"][name]["stop_grace_period"] == f"{graces[name]}s"


@pytest.mark.parametrize("name", ["gateway", "console"])
def test_idle_connections_are_kept_longer_than_the_proxies_in_front_keep_them(name):
    """The end that closes first must not be the one that is sent requests."""
    (seconds,) = re.findall(r"--timeout-keep-alive \$\{(\w+:-\d+)\}", LINES[name])
    default = Settings.model_fields["keep_alive_seconds"].default

    assert seconds == f"{variable_name('keep_alive_seconds')}:-{default}"
    assert default > PROXY_IDLE_SECONDS
    for page in ("producers/gateway/README.md", "worker/console/README.md", "CHANGELOG.md"):
        assert f"{default} s" in (ROOT / page).read_text(encoding="utf-8"), page


def test_a_lease_outlasts_what_is_done_under_it(overlay):
    """No other deliverer claims a notice while its call may still be under way."""
    settings = overlay.settings()

    assert settings.lease > settings.call_needs > settings.partner_timeout
    longest = max(settings.partner_timeout, TIMEOUT_MAX) + settings.lease_margin
    grace = overlay.pods()["deliver"]["terminationGracePeriodSeconds"]
    assert grace > longest.total_seconds()
    assert settings.claim_idle.total_seconds() >= finishing_seconds()


def test_a_wakeup_is_redelivered_only_when_no_worker_can_hold_it(overlay):
    """Decision 0004: the visibility timeout outlasts all that a worker may hold."""
    celery = configuration(overlay.settings())
    held = celery["worker_prefetch_multiplier"] * celery["task_time_limit"]

    for name in WORKERS:
        threads = int(re.findall(r" -c (\d+)", LINES[name])[0])
        assert celery["broker_transport_options"]["visibility_timeout"] > threads * held


def test_a_worker_is_not_killed_before_it_found_its_broker_again(overlay):
    """Redis is back, the probe sees it, and the worker still pauses before its next attempt."""
    for name in (*WORKERS, "beat"):
        liveness = container(overlay.pods()[name])["livenessProbe"]
        patience = liveness["periodSeconds"] * (liveness["failureThreshold"] - 1)
        assert timedelta(seconds=patience) > HOPELESS, name


def test_each_probe_asks_about_its_own_process_and_waits_for_the_answer(overlay):
    for name in (*WORKERS, "beat"):
        spec = container(overlay.pods()[name])
        for kind, question in PROBES.items():
            assert spec[kind]["exec"]["command"] == ["probe", question, name]
            assert spec[kind]["timeoutSeconds"] > probe.REDIS_SECONDS * 2
    for name, (_, port, pages) in probe.PAGES.items():
        spec = container(overlay.pods()[name])
        if name == "flower":  # it knows of a prefix and of TLS
            for kind, question in PROBES.items():
                assert spec[kind]["exec"]["command"] == ["probe", question, name]
                assert spec[kind]["timeoutSeconds"] > probe.HTTP_SECONDS
            continue
        for kind, question in PROBES.items():
            assert spec[kind]["httpGet"]["path"] == pages[question]
            assert port_called(spec[kind]["httpGet"]["port"], spec) == port


def test_starting_may_take_a_minute_and_a_half(overlay):
    for name, pod in overlay.pods().items():
        if name != "migrate":
            startup = container(pod)["startupProbe"]
            assert startup["periodSeconds"] * startup["failureThreshold"] >= 90, name


def test_the_probe_knows_the_ages_that_the_worker_promises():
    """worker/README.md: the table of the files."""
    page = (ROOT / "worker/README.md").read_text(encoding="utf-8")
    promised = dict(re.findall(r"^\| `([^`]+)` \|.*\| (.+) \|$", page, flags=re.MULTILINE))

    assert promised["<worker>.alive"] == f"younger than {probe.WORKER_ALIVE_SECONDS // 60} min"
    assert f"younger than {probe.READY_SECONDS} s" in promised["<worker>.ready"]
    assert probe.STREAM_SECONDS == probe.BEAT_SECONDS == 60
    assert promised["<worker>.stream.alive"] == promised["beat.alive"] == "younger than 1 min"


def listed(name: str) -> list[str]:
    (words,) = (step.exec_form() for step in STEPS if step.name == name)
    return words


def port_called(name: str, spec: dict[str, Any]) -> int:
    (port,) = (port["containerPort"] for port in spec["ports"] if port["name"] == name)
    assert isinstance(port, int)
    return port


def built_from(environment: dict[str, str]) -> Settings:
    """Build the settings a service of compose gets; its passwords do not matter here."""
    given = {
        name.removeprefix("SLIPWAY_").lower(): re.sub(r"\$\{.*?\}", "secret", value)
        for name, value in environment.items()
        if name.startswith("SLIPWAY_") and not value.endswith(":-}")  # empty unless it is set
    }
    return Settings.model_validate({**given, "secret_key": Fernet.generate_key().decode()})


def finishing_seconds() -> int:
    """Return how long an intake that was told to end has for the running batch."""
    return int(FINISHING_MAX.total_seconds())


def pause_before_the_end(overlay: Cluster, name: str) -> int:
    command = container(overlay.pods()[name])["lifecycle"]["preStop"]["exec"]["command"]
    return int(command[-1])


def uvicorn_waits(name: str) -> int:
    (seconds,) = re.findall(r"--timeout-graceful-shutdown (\d+)", LINES[name])
    return int(seconds)
