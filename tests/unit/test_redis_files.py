"""The files that a Redis URL names: what is wrong with each is sentence when a process starts."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from models.settings.errors import InvalidSettings
from models.settings.redis_address import redis_address
from models.settings.redis_files import redis_files_expiring, redis_files_problems
from models.settings.settings import read_settings
from producers.publisher import Publisher
from tests.support.authority import DAY, Authority
from tests.support.delivery_setup import KEY
from worker.doctor.connections import check_redis_protection
from worker.doctor.finding import State

HOST, PASSPHRASE = "redis.example.com:6380", "hidden-pass"
OURS, OTHERS = Authority("ours"), Authority("others")
NOW = datetime.now(UTC)  # noqa: TID251 - the certificates are valid around it
Spoil = Callable[[Path], dict[str, str]]  # what is wrong, and the options that differ


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an authority, and a client's certificate and key."""
    (tmp_path / "ca.pem").write_bytes(OURS.pem)
    OURS.issue("slipway", host=None).write(tmp_path, "client")
    return tmp_path


def address(folder: Path, **options: str) -> str:
    given = {
        "ssl_ca_certs": f"{folder}/ca.pem",
        "ssl_certfile": f"{folder}/client.pem",
        "ssl_keyfile": f"{folder}/client.key",
        **options,
    }
    query = "&".join(f"{name}={value}" for name, value in given.items() if value)
    return redis_address(f"rediss://slipway:hidden@{HOST}/0?{query}")


def locked(folder: Path) -> None:
    """Give the key a passphrase."""
    key = serialization.load_pem_private_key((folder / "client.key").read_bytes(), None)
    (folder / "client.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(PASSPHRASE.encode()),
        )
    )


def missing(name: str, option: str) -> Spoil:
    return lambda folder: {option: f"{folder}/no-{name}"}


def written(name: str, content: bytes) -> Spoil:
    def spoil(folder: Path) -> dict[str, str]:
        (folder / name).write_bytes(content)
        return {}

    return spoil


def issued(authority: Authority, *, valid_for: timedelta) -> Spoil:
    def spoil(folder: Path) -> dict[str, str]:
        authority.issue("slipway", host=None, valid_for=valid_for).write(folder, "client")
        return {}

    return spoil


def another_key(folder: Path) -> dict[str, str]:
    (folder / "client.key").write_bytes(OURS.issue("another", host=None).key)
    return {}


def no_passphrase(folder: Path) -> dict[str, str]:
    locked(folder)
    return {}


def wrong_passphrase(folder: Path) -> dict[str, str]:
    locked(folder)
    return {"ssl_password": "hidden-guess"}


def key_as_authority(folder: Path) -> dict[str, str]:
    return {"ssl_ca_certs": f"{folder}/client.key"}


def expired_authority(folder: Path) -> dict[str, str]:
    expired = OURS.issue("an old authority", valid_for=-DAY)
    (folder / "ca.pem").write_bytes(expired.chain)
    return {}


WRONG: dict[str, tuple[Spoil, str, str]] = {  # how, the option at fault, and what is sentence
    "the authority is missing": (missing("ca.pem", "ssl_ca_certs"), "ssl_ca_certs", "No such file"),
    "the authority is a folder": (missing("/..", "ssl_ca_certs"), "ssl_ca_certs", "cannot be read"),
    "the authority is empty": (written("ca.pem", b""), "ssl_ca_certs", "is empty"),
    "the authority is no PEM": (written("ca.pem", b"\0\xff"), "ssl_ca_certs", "it is not PEM"),
    "the authority is a key": (key_as_authority, "ssl_ca_certs", "holds a private key"),
    "the authority expired": (expired_authority, "ssl_ca_certs", "has expired"),
    "the authority is too large": (
        written("ca.pem", b"-" * (4 * 1024 * 1024 + 1)),
        "ssl_ca_certs",
        "too large",
    ),
    "the folder is missing": (missing("folder", "ssl_ca_path"), "ssl_ca_path", "it is no folder"),
    "the certificate is missing": (
        missing("client.pem", "ssl_certfile"),
        "ssl_certfile",
        "No such file",
    ),
    "the certificate is damaged": (
        written("client.pem", b"-----BEGIN CERTIFICATE-----\n"),
        "ssl_certfile",
        "certificate 1 of 1 is damaged",
    ),
    "the certificate expired": (issued(OURS, valid_for=-DAY), "ssl_certfile", "expired at"),
    "the key is another's": (another_key, "ssl_certfile", "do not belong together"),
    "the key is missing": (missing("client.key", "ssl_keyfile"), "ssl_keyfile", "No such file"),
    "the key is a certificate": (
        lambda folder: {"ssl_keyfile": f"{folder}/client.pem"},
        "ssl_keyfile",
        "it is a certificate",
    ),
    "the key needs a passphrase": (no_passphrase, "ssl_keyfile", "it is encrypted"),
    "the passphrase is wrong": (wrong_passphrase, "ssl_keyfile", "does not fit"),
    "the passphrase is too much": (
        lambda _: {"ssl_password": "hidden"},
        "ssl_keyfile",
        "it has no passphrase",
    ),
}


def test_good_files_have_no_problem(folder: Path) -> None:
    assert [*redis_files_problems({"URL": address(folder)}, now=NOW)] == []


def test_a_passphrase_that_fits_has_no_problem(folder: Path) -> None:
    locked(folder)

    url = address(folder, ssl_password=PASSPHRASE)

    assert [*redis_files_problems({"URL": url}, now=NOW)] == []


def test_one_file_may_hold_certificate_and_key(folder: Path) -> None:
    both = folder / "both.pem"
    both.write_bytes((folder / "client.pem").read_bytes() + (folder / "client.key").read_bytes())

    url = address(folder, ssl_certfile=str(both), ssl_keyfile="")

    assert [*redis_files_problems({"URL": url}, now=NOW)] == []


@pytest.mark.parametrize(("spoil", "option", "sentence"), WRONG.values(), ids=WRONG)
def test_a_wrong_file_is_named_with_setting_and_host(
    spoil: Spoil, option: str, sentence: str, folder: Path
) -> None:
    url = address(folder, **spoil(folder))

    problems = [*redis_files_problems({"SLIPWAY_REDIS_URL": url}, now=NOW)]

    assert [sentence in problem for problem in problems] == [True]
    assert problems[0].startswith(f"SLIPWAY_REDIS_URL: {option} for {HOST}: {folder}")
    assert "hidden" not in problems[0]


def test_both_settings_are_checked(folder: Path) -> None:
    (folder / "other.pem").write_bytes(b"")
    urls = {"A": address(folder), "B": address(folder, ssl_ca_certs=f"{folder}/other.pem")}

    (problem,) = redis_files_problems(urls, now=NOW)

    assert problem.startswith("B: ssl_ca_certs")


def test_a_url_that_two_settings_share_is_reported_once(folder: Path) -> None:
    url = address(folder, ssl_ca_certs=f"{folder}/nothing")

    (problem,) = redis_files_problems({"A": url, "B": url}, now=NOW)

    assert problem.startswith("A: ")


def test_no_process_starts_with_a_file_that_cannot_be_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_DATABASE_URL", "postgresql://slipway@db/slipway")
    monkeypatch.setenv("SLIPWAY_REDIS_URL", address(folder, ssl_ca_certs=f"{folder}/nothing"))
    monkeypatch.setenv("SLIPWAY_SECRET_KEY", KEY)
    read_settings.cache_clear()
    try:
        with pytest.raises(InvalidSettings, match=r"SLIPWAY_REDIS_URL: ssl_ca_certs for redis"):
            read_settings()
    finally:
        read_settings.cache_clear()


def test_no_publisher_starts_with_one_either(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"ssl_ca_certs for redis\.example\.com:6380") as refusal:
        Publisher.at(address(folder, ssl_ca_certs=f"{folder}/nothing"))

    assert "hidden" not in str(refusal.value)


def test_a_certificate_that_expires_soon_is_named_by_the_doctor(folder: Path) -> None:
    url = address(folder)

    finding = check_redis_protection(url, part="Redis", variable="SLIPWAY_REDIS_URL", now=NOW)

    assert finding.state is State.DOUBTFUL
    assert f"{folder}/client.pem (ssl_certfile) expires at" in finding.detail
    assert finding.remedy is not None
    assert "every new connection reads it" in finding.remedy


def test_a_certificate_that_expires_later_is_not(folder: Path) -> None:
    assert [*redis_files_expiring(address(folder), now=NOW, within=DAY)] == []
