"""The settings of the way to partners: read, checked by doctor, and named where they are wrong."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from models.operators.validation import OperatorTerms
from models.platform.encryption import Vault
from models.settings.errors import InvalidSettings
from models.settings.settings import Settings
from tests.support.authority import DAY, Authority
from tests.support.closed_port import closed_port
from tests.support.connect_proxy import connect_proxy
from tests.support.delivery_setup import KEY, SECRET, delivery_settings
from tests.support.http_clients import LONG
from tests.support.raw_server import OK, raw_server, say
from tests.support.sample_notice import PARTNER
from tests.support.server_folders import passable_folder
from tests.support.tls_front_ends import nginx_for
from worker.delivery.http.limits import TransferLimits
from worker.delivery.ping import ping, ping_as_configured
from worker.doctor.egress import check_egress
from worker.doctor.finding import Finding, State
from worker.doctor.terms import warnings_about

NOW = datetime.now(UTC)  # noqa: TID251 - certificates are valid by the machine's clock
PASSWORD = "proxy-password-4711"
HOME = "127.0.0.0/8"


def checked(settings: Settings) -> list[Finding]:
    return list(check_egress(settings, now=NOW))


def test_without_any_of_it_there_is_nothing_to_check():
    assert checked(delivery_settings()) == []


def test_the_authorities_of_the_installation_count_beside_the_system_s(tmp_path):
    authority = Authority("house")
    file = tmp_path / "ca.pem"
    file.write_bytes(authority.pem)
    settings = delivery_settings(partner_ca_file=file)
    with passable_folder() as folder, nginx_for(folder, authority.issue("partner")) as url:
        partner = replace(PARTNER, url=url)
        pinged = ping(partner, secret=SECRET, limits=TransferLimits.of(settings), timeout=LONG)
        without = ping(
            partner, secret=SECRET, limits=TransferLimits.of(delivery_settings()), timeout=LONG
        )

    assert pinged.status == 200, pinged.problem
    assert "SLIPWAY_PARTNER_CA_FILE" in (without.problem or "")
    (finding,) = checked(settings)
    assert (finding.state, finding.detail) == (State.OK, f"1 in {file}, besides the system's")
    system = Path("/etc/ssl/certs/ca-certificates.crt")
    if system.is_file():
        limits = TransferLimits.of(settings)  # the file lives as long as they do
        assert system.read_bytes() in Path(str(limits.authorities)).read_bytes()


def _key(folder: Path) -> Path:
    return Authority("x").issue("y").write(folder, "y")[1]


def _text(folder: Path) -> Path:
    file = folder / "notes.txt"
    file.write_text("no certificate", encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (_key, "holds a private key"),
        (_text, "cannot be read: it is not PEM"),
        (lambda folder: folder / "missing.pem", "cannot be read: No such file"),
        (lambda folder: folder, "cannot be read: Is a directory"),
    ],
    ids=["a key", "no certificate", "missing", "a folder"],
)
def test_a_ca_file_that_is_none_is_named_before_anything_is_sent(tmp_path, make, problem):
    file = make(tmp_path)
    settings = delivery_settings(partner_ca_file=file)

    with pytest.raises(InvalidSettings, match="SLIPWAY_PARTNER_CA_FILE") as refusal:
        TransferLimits.of(settings)
    pinged = ping_as_configured(
        PARTNER, signed=False, at=NOW, vault=Vault.with_keys([SecretStr(KEY)]), settings=settings
    )

    assert f"{file} {problem}" in str(refusal.value)
    assert problem in (pinged.problem or "")
    assert not pinged.there
    (finding,) = checked(settings)
    assert finding.state is State.WRONG
    assert problem in finding.detail


def test_an_authority_that_has_expired_is_doubtful(tmp_path):
    old = Authority("house").issue("an old authority", valid_for=-DAY)
    chain, _ = old.write(tmp_path, "old")

    (finding,) = checked(delivery_settings(partner_ca_file=chain))

    assert finding.state is State.DOUBTFUL
    assert "CN=an old authority" in finding.detail


def test_a_proxy_from_a_file_is_used_and_checked(tmp_path):
    with raw_server(say(OK)) as server, connect_proxy() as proxy:
        proxy.credentials = f"slipway:{PASSWORD}"
        file = tmp_path / "proxy"
        file.write_text(
            proxy.address.replace("//", f"//slipway:{PASSWORD}@") + "\n", encoding="utf-8"
        )
        settings = delivery_settings(partner_proxy_file=file, partner_proxy_networks=HOME)
        partner = replace(PARTNER, url=server.url)
        limits = TransferLimits.of(settings)
        pinged = ping(partner, secret=SECRET, limits=limits, timeout=LONG)
        (finding,) = checked(settings)
        outside = checked(delivery_settings(partner_proxy_file=file))

    assert (pinged.there, pinged.by_proxy) == (True, True), pinged.problem
    assert pinged.facts["by_proxy"] is True
    assert finding.state is State.OK
    assert "has to refuse private addresses" in finding.detail
    assert outside[0].state is State.WRONG
    assert "SLIPWAY_PARTNER_PROXY_NETWORKS" in outside[0].detail
    for shown in (repr(settings), repr(limits), finding, outside, repr(pinged)):
        assert PASSWORD not in str(shown)


@pytest.mark.parametrize("address", ["nonsense", f"http://u:{PASSWORD}@proxy", "socks5://a:1"])
def test_a_proxy_that_is_none_is_named_without_its_text(tmp_path, address):
    file = tmp_path / "proxy"
    file.write_text(address, encoding="utf-8")

    (finding,) = checked(delivery_settings(partner_proxy_file=file))

    assert finding.state is State.WRONG
    assert "SLIPWAY_PARTNER_PROXY_FILE" in finding.detail
    for text in (PASSWORD, address):
        assert text not in finding.detail
    with pytest.raises(ValueError, match="partner_proxy") as refusal:
        delivery_settings(partner_proxy=address)
    assert PASSWORD not in str(refusal.value)


def test_a_proxy_that_is_not_there_is_wrong():
    proxy = f"http://127.0.0.1:{closed_port()}"

    (finding,) = checked(delivery_settings(partner_proxy=proxy, partner_proxy_networks=HOME))

    assert finding.state is State.WRONG
    assert "accepts no connection" in finding.detail


def test_terms_that_do_not_fit_the_settings_are_warned_of_behind_a_proxy_too():
    patient = OperatorTerms(
        code="acme", url="https://127.0.0.1/", protocol="pam", retry_limit=timedelta(days=10)
    )
    direct = delivery_settings(retention="9d", event_age_max="3d")
    proxied = delivery_settings(
        retention="9d", event_age_max="3d", partner_proxy="http://proxy.invalid:3128"
    )

    for settings in (direct, proxied):
        assert "SLIPWAY_RETENTION (9d)" in warnings_about(patient, settings)[0]


def test_an_operator_behind_the_proxy_is_not_resolved_here_and_that_is_said():
    settings = delivery_settings(partner_proxy="http://proxy.invalid:3128")
    named = OperatorTerms(code="acme", url="https://partner.invalid/", protocol="pam")
    literal = OperatorTerms(code="acme", url="https://10.0.0.1/", protocol="pam")

    (warning,) = warnings_about(named, settings)
    (refused,) = warnings_about(literal, settings)

    assert warning == (
        "calls go through the proxy http://proxy.invalid:3128: the proxy resolves the name and has"
        " to refuse private addresses, not we"
    )
    assert "10.0.0.1 is not public" in refused


def test_the_proxy_and_its_file_exclude_each_other(tmp_path):
    with pytest.raises(ValueError, match="set either SLIPWAY_PARTNER_PROXY or"):
        delivery_settings(partner_proxy="http://a:1", partner_proxy_file=tmp_path / "x")
