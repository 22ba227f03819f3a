"""Setting, rotating and removing what calls carry, by the command line and as code."""

from datetime import timedelta

import pytest
import yaml
from cryptography.fernet import Fernet
from pydantic import SecretStr

from models.access.document import open_access
from models.access.values import NO_ACCESS, Access, Basic
from models.operators import NewOperator, OperatorInvalid, add_operator, reencrypt_secrets
from models.operators.access import access_status, move_accesses, set_access
from models.operators.interventions import Person
from models.operators.partners import require_partner
from models.platform.clock import DatabaseClock
from models.platform.encryption import Vault
from tests.support.client_certificates import make_pair
from tests.support.command_line import CommandLine

ANNA = Person("anna", "their new gateway")
CANARY = "canary-9Kx4"
OLD, NEW = Access(basic=Basic("us", f"{CANARY}-old")), Access(bearer=f"{CANARY}-new")
HOUR = timedelta(hours=1)


@pytest.fixture
def keys() -> list[SecretStr]:
    return [SecretStr(Fernet.generate_key().decode()) for _ in range(2)]


@pytest.fixture
def vault(keys) -> Vault:
    return Vault.with_keys(keys[:1])


@pytest.fixture
def acme(engine, vault) -> str:
    new = NewOperator(
        code="acme", url="https://pam.acme.example/hook", protocol="pam", secret="secret-of-acme"
    )
    with engine.begin() as connection:
        add_operator(connection, new, vault=vault, person=ANNA)
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
def slipway(monkeypatch, capsys, database, redis_url) -> CommandLine:
    line = CommandLine(monkeypatch, capsys)
    line.export(
        database_url=database,
        redis_url=redis_url,
        secret_key=Fernet.generate_key().decode(),
        partner_networks="127.0.0.0/8",
    )
    return line


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
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
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
        ({"baerer_file": "key"}, "baerer_file"),
        ({"authorities_file": "client.key"}, "the CA bundle holds a private key"),
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
