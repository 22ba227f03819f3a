"""`slipway doctor` on a machine, or in a container, that keeps a process from its work."""

import os
import resource

from tests.support.plain_settings import plain_settings
from worker.doctor.finding import Finding, State
from worker.doctor.machine import check_machine

DIRECT = plain_settings()


def on_this_machine(monkeypatch, **variables: str) -> list[Finding]:
    """What is wrong with the environment when it has these *variables*."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return [*check_machine(DIRECT, os.environ)]


def test_a_limit_on_open_files_that_calls_exceed_is_doubtful():
    busy = plain_settings(in_flight_max=1000)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        (finding,) = check_machine(busy, {})
        usual = [*check_machine(DIRECT, {})]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert finding.state is State.DOUBTFUL
    assert "may open 1,024 files" in finding.detail
    assert "SLIPWAY_IN_FLIGHT_MAX=1000 needs 1,200" in finding.detail
    assert "LimitNOFILE" in str(finding.remedy)
    assert usual == []


def test_a_proxy_of_the_environment_that_is_ignored_is_doubtful(monkeypatch):
    (finding,) = on_this_machine(monkeypatch, https_proxy="http://u:hidden@proxy:3128")
    proxied = plain_settings(partner_proxy="http://proxy:3128")

    assert finding.detail.startswith("HTTPS_PROXY is set, and Slipway ignores it")
    assert "set SLIPWAY_PARTNER_PROXY" in str(finding.remedy)
    assert "hidden" not in str(finding)
    assert [*check_machine(proxied, os.environ)] == []


def test_a_variable_of_libpq_that_leads_elsewhere_is_doubtful(monkeypatch):
    (finding,) = on_this_machine(monkeypatch, PGHOSTADDR="192.0.2.1")

    assert finding.detail.startswith("PGHOSTADDR is set, which libpq reads")
    assert "unset it" in str(finding.remedy)


def test_authorities_of_the_system_that_are_not_there_are_doubtful(monkeypatch, tmp_path):
    nowhere = str(tmp_path / "ca.pem")

    (finding,) = on_this_machine(monkeypatch, SSL_CERT_FILE=nowhere)

    assert f"SSL_CERT_FILE names {nowhere}, which cannot be read" in finding.detail
    assert finding.remedy == "correct or unset SSL_CERT_FILE"
