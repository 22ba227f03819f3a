"""Secrets: encrypted, made, and recognised by their hash."""

import hashlib

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from models.platform.encryption import DecryptionFailed, Vault, hash_key, new_api_key, new_secret

SECRET = "12345ABCDE"


@pytest.fixture
def old_key() -> SecretStr:
    """Make the key that was in use before."""
    return SecretStr(Fernet.generate_key().decode())


@pytest.fixture
def new_key() -> SecretStr:
    """Make the key that takes its place."""
    return SecretStr(Fernet.generate_key().decode())


def test_a_sealed_secret_opens_again(old_key: SecretStr) -> None:
    vault = Vault.with_keys([old_key])

    encrypted = vault.encrypt(SECRET)

    assert SECRET not in encrypted
    assert vault.decrypt(encrypted) == SECRET
    assert vault.encrypt(SECRET) != encrypted


def test_a_new_key_in_front_seals_and_the_old_one_still_opens(
    old_key: SecretStr, new_key: SecretStr
) -> None:
    before = Vault.with_keys([old_key]).encrypt(SECRET)

    both = Vault.with_keys([new_key, old_key])

    assert both.decrypt(before) == SECRET
    assert Vault.with_keys([new_key]).decrypt(both.encrypt(SECRET)) == SECRET


def test_a_secret_that_no_key_opens_says_what_to_do(old_key: SecretStr, new_key: SecretStr) -> None:
    encrypted = Vault.with_keys([old_key]).encrypt(SECRET)

    with pytest.raises(DecryptionFailed, match="SLIPWAY_SECRET_KEY") as refusal:
        Vault.with_keys([new_key]).decrypt(encrypted)

    assert encrypted not in str(refusal.value)
    assert "give the operator a new secret" in str(refusal.value)


@pytest.mark.parametrize("encrypted", ["", "not encrypted at all", "gAAAAA", "ü"])
def test_what_was_never_sealed_is_refused_the_same_way(old_key: SecretStr, encrypted: str) -> None:
    with pytest.raises(DecryptionFailed):
        Vault.with_keys([old_key]).decrypt(encrypted)


def test_a_vault_shows_no_key(old_key: SecretStr) -> None:
    vault = Vault.with_keys([old_key])

    assert repr(vault) == "Vault()"
    assert old_key.get_secret_value() not in f"{vault!r}{vault}"


def test_a_vault_needs_a_key() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Vault.with_keys([])


def test_new_secrets_are_long_different_and_without_spaces() -> None:
    secrets = {new_secret() for _ in range(100)}

    assert len(secrets) == 100
    assert {len(secret) for secret in secrets} == {43}
    assert not any(character.isspace() for secret in secrets for character in secret)


def test_a_publishers_key_is_recognisable_and_kept_as_its_sha256() -> None:
    api_key = new_api_key()

    assert api_key.startswith("slipway_")
    assert api_key != new_api_key()
    assert hash_key(api_key) == hashlib.sha256(api_key.encode()).hexdigest()
