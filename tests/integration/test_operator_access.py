"""Setting, rotating and removing what calls carry, by the command line and as code."""

from dataclasses import replace
from datetime import timedelta

import pytest
import yaml
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import load_pem_x509_certificate
from pydantic import SecretStr
from sqlalchemy import text

from models.access.document import open_access
from models.access.values import NO_ACCESS, Access, Basic
from models.operators import NewOperator, OperatorInvalid, add_operator, reencrypt_secrets
from models.operators.access import AccessReplaced, access_status, set_access
from models.operators.due import move_accesses
from models.operators.interventions import Person
from models.operators.partners import require_partner
from models.partnerships.end import mark_ended
from models.platform.clock import DatabaseClock
from models.platform.encryption import Vault
from tests.support.blind_watermark import Blind
from tests.support.client_certificates import make_pair
from tests.support.plain_settings import plain_settings
from worker.sweep.round import Sweep

ANNA = Person("anna", "their new gateway")
CANARY = "canary-9Kx4"
OLD, NEW = Access(basic=Basic("us", f"{CANARY}-old")), Access(bearer=f"{CANARY}-new")
HOUR = timedelta(hours=1)
PARTNER = NewOperator(
    code="acme", url="https://pam.acme.example/hook", protocol="pam", secret="secret-of-acme"
)
STORED = text("""
    SELECT code, access, access_facts, next_access, next_access_facts, access_switch_at
      FROM operator""")


@pytest.fixture
def keys() -> list[SecretStr]:
    return [SecretStr(Fernet.generate_key().decode()) for _ in range(2)]


@pytest.fixture
def vault(keys) -> Vault:
    return Vault.with_keys(keys[:1])


@pytest.fixture
def acme(engine, vault) -> str:
    with engine.begin() as connection:
        add_operator(connection, PARTNER, vault=vault, person=ANNA)
    return "acme"


def test_an_access_is_replaced_at_its_moment_and_the_sweep_moves_it_over(engine, vault, acme):
    with engine.begin() as connection:
        now = DatabaseClock().now(connection)
        set_access(connection, acme, OLD, now=now, vault=vault, person=ANNA)
        set_access(connection, acme, NEW, now=now, vault=vault, person=ANNA, switch_at=now + HOUR)

        def in_force(at: timedelta) -> Access:
            sealed = require_partner(connection, acme, now=now + at).access
            return NO_ACCESS if sealed is None else open_access(sealed, vault)

        assert [in_force(at) for at in (HOUR - timedelta.resolution, HOUR)] == [OLD, NEW]
        status = access_status(connection, acme, now=now)
        assert (status.facts["method"], status.next_facts) == ("basic", {"method": "bearer"})
        assert move_accesses(connection, now=now) == 0
        assert move_accesses(connection, now=now + HOUR) == 1
        assert in_force(timedelta()) == NEW
        assert access_status(connection, acme, now=now).switch_at is None

        assert set_access(connection, acme, NO_ACCESS, now=now, vault=vault, person=ANNA)
        assert not set_access(connection, acme, NO_ACCESS, now=now, vault=vault, person=ANNA)
        assert in_force(timedelta()) == NO_ACCESS


def test_what_waits_is_dropped_by_what_is_set_at_once(engine, vault, acme):
    with engine.begin() as connection:
        now = DatabaseClock().now(connection)
        later = now + HOUR
        set_access(connection, acme, NEW, now=now, vault=vault, person=ANNA, switch_at=later)
        set_access(connection, acme, OLD, now=now, vault=vault, person=ANNA)

        assert access_status(connection, acme, now=now + 2 * HOUR).facts["method"] == "basic"


def test_a_pending_removal_is_dropped_by_what_is_in_force_already(engine, vault, acme):
    with engine.begin() as connection:
        now = DatabaseClock().now(connection)
        later = now + HOUR
        set_access(connection, acme, OLD, now=now, vault=vault, person=ANNA)
        set_access(connection, acme, NO_ACCESS, now=now, vault=vault, person=ANNA, switch_at=later)

        assert access_status(connection, acme, now=now).next_facts == {}
        assert set_access(connection, acme, OLD, now=now, vault=vault, person=ANNA)
        assert access_status(connection, acme, now=now + 2 * HOUR).facts["method"] == "basic"


def test_an_access_that_was_replaced_meanwhile_is_not_replaced_again(engine, vault, acme):
    with engine.begin() as connection:
        now = DatabaseClock().now(connection)
        seen = access_status(connection, acme, now=now).version
        assert set_access(connection, acme, OLD, now=now, vault=vault, person=ANNA, seen=seen)
        with pytest.raises(AccessReplaced, match="was replaced meanwhile"):
            set_access(connection, acme, NEW, now=now, vault=vault, person=ANNA, seen=seen)

        seen = access_status(connection, acme, now=now).version
        assert set_access(
            connection,
            acme,
            NEW,
            now=now,
            vault=vault,
            person=ANNA,
            switch_at=now + HOUR,
            seen=seen,
        )
        # The sweep's move is no change: what is in force is the same before and after it.
        due = access_status(connection, acme, now=now + HOUR).version
        move_accesses(connection, now=now + HOUR)
        assert access_status(connection, acme, now=now + HOUR).version == due


def test_the_end_of_the_partnership_empties_it(engine, vault, acme, clock):
    """Rule 24: nothing is sent any more, so no credential is kept for it."""
    now = clock.now()
    with engine.begin() as connection:
        add_operator(connection, replace(PARTNER, code="goes-on"), vault=vault, person=ANNA)
        for code in (acme, "goes-on"):
            set_access(connection, code, OLD, now=now, vault=vault, person=ANNA)
            set_access(
                connection, code, NEW, now=now, vault=vault, person=ANNA, switch_at=now + HOUR
            )
        mark_ended(connection, acme, person=ANNA, now=now)
    sweep = Sweep(
        transaction=engine.begin, clock=clock, watermark_source=Blind(), settings=plain_settings()
    )

    assert (sweep.round().secrets_forgotten, sweep.round().secrets_forgotten) == (1, 0)

    with engine.begin() as connection:
        kept = {row.code: row[1:] for row in connection.execute(STORED)}
        assert access_status(connection, acme, now=now).facts == {}
    assert kept[acme] == (None, None, None, None, None)
    assert None not in kept["goes-on"]


def test_it_is_encrypted_again_with_all_other_secrets(engine, keys, vault, acme):
    later = Vault.with_keys(keys[::-1])
    with engine.begin() as connection:
        now = DatabaseClock().now(connection)
        set_access(connection, acme, OLD, now=now, vault=vault, person=ANNA)
        set_access(connection, acme, NEW, now=now, vault=vault, person=ANNA, switch_at=now + HOUR)
        reencrypt_secrets(connection, vault=later, person=ANNA)
        sealed = [
            require_partner(connection, acme, now=now + at).access for at in (timedelta(), HOUR)
        ]

    assert [open_access(stored or "", Vault.with_keys(keys[1:])) for stored in sealed] == [OLD, NEW]


def test_a_mistake_changes_nothing(engine, vault, acme):
    broken = Access(basic=Basic("a:b", CANARY), bearer=CANARY)
    with engine.begin() as connection:
        now = DatabaseClock().now(connection)
        with pytest.raises(OperatorInvalid) as refusal:
            set_access(connection, acme, broken, now=now, vault=vault, person=ANNA)

    assert len(refusal.value.problems) == 2
    assert CANARY not in str(refusal.value)


@pytest.fixture
def files(tmp_path, clock):
    """An access file that names its secrets beside it."""
    pair = make_pair(clock.now(), lasting=timedelta(days=36500))  # on any day
    contents = {
        "password": f"{CANARY}-password\n",
        "key": f"{CANARY}-key",
        "client.pem": pair.chain,
        "client.key": pair.encrypted_key(f"{CANARY}-phrase"),
        "phrase": f"{CANARY}-phrase",
        "ca.pem": pair.chain,
        "combined.pem": pair.chain + pair.key,
        "windows.pem": f"# {CANARY}\r\n" + pair.chain.replace("\n", "\r\n"),
        "empty.pem": "",
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(content, newline="")
    certificate = load_pem_x509_certificate(pair.chain.encode())
    (tmp_path / "ca.der").write_bytes(certificate.public_bytes(serialization.Encoding.DER))
    document = {
        "headers": [
            {"name": "X-Api-Key", "value_file": "key"},
            {"name": "X-Client", "value": "slipway", "secret": False},
        ],
        "basic": {"user": "us", "password_file": "password"},
        "certificate": {
            "chain_file": "client.pem",
            "key_file": "client.key",
            "passphrase_file": "phrase",
        },
        "authorities_file": "ca.pem",
    }
    (tmp_path / "access.yaml").write_text(yaml.safe_dump(document))
    return tmp_path


def test_the_command_line_sets_shows_and_removes_it(slipway, files):
    slipway("operators", "add", "acme", "--url", "https://pam.acme.example", "--protocol", "pam")
    given = slipway(
        "operators", "access", "acme", "--file", str(files / "access.yaml"), "--why", "mTLS"
    )
    shown = slipway("operators", "access", "acme")
    document = slipway("operators", "access", "acme", "--json").document()
    story = slipway("operators", "show", "acme")
    cleared = slipway("operators", "access", "acme", "--clear")

    assert given.code == shown.code == cleared.code == 0
    assert "used within a second" in given.out
    assert "user us, password (secret)" in shown.out
    assert "CN=slipway, valid until" in shown.out
    assert document["access"]["method"] == "basic"
    assert "access changed" in story.out
    assert CANARY not in (given.out + given.err) + (shown.out + shown.err) + (
        story.out + story.err
    ) + str(document)
    assert "nothing but" in slipway("operators", "access", "acme").err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"basic": {"user": "us", "password": CANARY}}, "password_file"),
        ({"bearer": CANARY}, "bearer_file"),
        ({"bearer_file": "nowhere"}, "nowhere: No such file"),
        ({"baerer_file": "key"}, "did you mean bearer?"),
        ({"authorities_file": "client.key"}, "the CA bundle holds a private key"),
        ({"authorities_file": "combined.pem"}, "take it out: only certificates belong there"),
        ({"authorities_file": "ca.der"}, "convert it: openssl x509 -inform der"),
        ({"authorities_file": "empty.pem"}, "the file is empty"),
        (
            {"certificate": {"chain_file": "combined.pem", "key_file": "combined.pem"}},
            "the client certificate holds a private key; take it out",
        ),
        ({"headers": [{"name": "a\nb", "value_file": "key"}]}, "header 1: its name must be"),
        ({"headers": "X: y"}, "list"),
        ({"oauth": {"token_url": "ftp://a", "client_id": "a", "client_secret_file": "key"}}, "URL"),
        (
            {"certificate": {"chain_file": "client.pem", "key_file": "client.key"}},
            "give its passphrase",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_a_sentence_without_a_secret(slipway, files, change, message):
    slipway("operators", "add", "acme", "--url", "https://pam.acme.example", "--protocol", "pam")
    (files / "other.yaml").write_text(yaml.safe_dump(change))

    refused = slipway("operators", "access", "acme", "--file", str(files / "other.yaml"))

    assert refused.code == 2
    assert message in (refused.out + refused.err)
    assert CANARY not in (refused.out + refused.err)


ADD = ("operators", "add", "acme", "--url", "https://8.8.8.8/", "--protocol", "pam")


def test_an_operator_is_added_with_its_access_or_not_at_all(slipway, files):
    (files / "wrong.yaml").write_text(
        yaml.safe_dump({"basic": {"user": "a:b", "password_file": "key"}})
    )
    given = ("--access-file", str(files / "access.yaml"))

    refused = slipway(*ADD, "--access-file", str(files / "wrong.yaml"))
    missing = slipway(*ADD, "--access-file", str(files / "nowhere.yaml"))
    none = slipway("operators", "list", "--json").document()
    added = slipway(*ADD, *given, "--why", "behind their gateway")

    assert (refused.code, missing.code, added.code) == (2, 2, 0), added.err
    assert "without a colon" in refused.err + refused.out
    assert "--access-file" in missing.err + missing.out
    assert none == []
    shown = slipway("operators", "access", "acme", "--json").document()
    assert shown["access"]["user"] == "us"
    assert "behind their gateway" in slipway("operators", "show", "acme").out
    assert all(CANARY not in ended.out + ended.err for ended in (refused, missing, added))


def test_a_token_url_without_tls_is_a_warning_wherever_it_is_given(slipway, files):
    oauth = {"token_url": "http://8.8.8.8/token", "client_id": "us", "client_secret_file": "key"}
    (files / "oauth.yaml").write_text(yaml.safe_dump({"oauth": oauth}))
    (files / "secret").write_text("secret-of-acme-0123456789\n")
    operator = {
        "code": "code",
        "url": "https://8.8.8.8/",
        "protocol": "pam",
        "access": {"oauth": oauth},
    }
    (files / "operators.yaml").write_text(
        yaml.safe_dump({"operators": [operator | {"secret_file": "secret"}]})
    )

    added = slipway(*ADD, "--access-file", str(files / "oauth.yaml"))
    slipway("operators", "access", "acme", "--clear")
    given = slipway("operators", "access", "acme", "--file", str(files / "oauth.yaml"))
    applied = slipway("operators", "apply", "-f", str(files / "operators.yaml"))

    for ended in (added, given, applied):
        assert ended.code == 0, ended.err
        assert "the token URL is http, not https: everyone on the way can read the" in ended.err
        assert "the URL is http" not in ended.err


def test_a_bundle_from_windows_is_kept_as_its_certificates(slipway, files, tmp_path):
    (files / "bundle.yaml").write_text(yaml.safe_dump({"authorities_file": "windows.pem"}))
    slipway(*ADD, "--access-file", str(files / "bundle.yaml"))
    slipway("operators", "export", "-f", str(files / "out.yaml"), "--secrets", str(files / "out"))

    (kept,) = (files / "out").glob("*authorities.pem")
    assert kept.read_text() == (files / "ca.pem").read_text()


def test_it_is_part_of_operators_as_code(slipway, files):
    access = yaml.safe_load((files / "access.yaml").read_text())
    (files / "secret").write_text("secret-of-acme-0123456789\n")
    operator = {
        "code": "acme",
        "url": "https://pam.acme.example",
        "protocol": "pam",
        "access": access,
        "secret_file": "secret",
    }
    path = files / "operators.yaml"
    path.write_text(yaml.safe_dump({"operators": [operator]}))

    first = slipway("operators", "apply", "-f", str(path))
    again = slipway("operators", "apply", "-f", str(path))
    (files / "password").write_text(f"{CANARY}-other\n")
    other = slipway("operators", "apply", "-f", str(path))
    exported = slipway(
        "operators", "export", "-f", str(files / "out.yaml"), "--secrets", str(files / "out")
    )
    back = slipway("operators", "apply", "-f", str(files / "out.yaml"))

    assert first.code == exported.code == 0, (first.out + first.err) + (exported.out + exported.err)
    assert "= acme" in again.out
    assert "(other secrets)" in other.out
    assert "= acme" in back.out, back.out + back.err
    assert (
        CANARY
        not in (first.out + first.err) + (other.out + other.err) + (files / "out.yaml").read_text()
    )
    assert all(file.stat().st_mode & 0o077 == 0 for file in (files / "out").iterdir())
