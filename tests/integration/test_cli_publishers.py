"""`slipway publishers`: keys are shown once, stored as a hash, and revoked with a reason."""

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text

from models.platform.encryption import hash_key
from models.publishers.keys import find_key_holder
from tests.support.command_line import CommandLine

ADD = ("publishers", "add", "odds", "--operator", "acme", "--operator", "beta")
KEPT = text("SELECT did, who, why, operator, facts FROM intervention ORDER BY id")


@pytest.fixture
def slipway(monkeypatch, capsys, database, redis_url, harness) -> CommandLine:
    harness.add_operator("beta")
    line = CommandLine(monkeypatch, capsys)
    line.export(database_url=database, redis_url=redis_url)
    line.export(secret_key=Fernet.generate_key().decode())
    return line


@pytest.mark.parametrize("command", ["", "add", "list", "revoke"])
def test_every_command_explains_itself(slipway, command):
    message = slipway("publishers", *command.split(), "--help")

    assert message.code == 0
    assert "Usage: slipway publishers" in message.out
    assert not command or "Example: " in message.out


def test_a_key_is_shown_once_and_kept_as_a_hash(slipway, engine):
    added = slipway(*ADD, "--read-only", "--json", "--by", "anna", "--why", "contract")
    key = added.document()["key"]
    with engine.connect() as connection:
        holder = find_key_holder(connection, key)
        hashes = connection.execute(text("SELECT key_hash FROM publisher")).scalars().all()

    assert added.code == 0
    assert hashes == [hash_key(key)]
    assert holder is not None
    assert (holder.name, holder.operators, holder.read_only) == ("odds", ("acme", "beta"), True)
    listed = slipway("publishers", "list")
    assert ("odds" in listed.out, "acme, beta" in listed.out, key in listed.out) == (
        True,
        True,
        False,
    )
    assert key not in slipway("publishers", "list", "--json").out


def test_without_operators_a_key_may_name_any_and_says_so(slipway, engine):
    added = slipway("publishers", "add", "all")
    key = added.out.split()[-1]
    with engine.connect() as connection:
        holder = find_key_holder(connection, key)

    assert "may name any operator" in added.err
    assert holder is not None
    assert holder.may_name("any-operator")


def test_a_revoked_key_opens_nothing_and_its_name_stays_taken(slipway, engine):
    key = slipway(*ADD, "--json").document()["key"]

    revoked = slipway("publishers", "revoke", "odds", "--by", "anna", "--why", "it leaked")
    again = slipway("publishers", "revoke", "odds")
    added_again = slipway(*ADD)

    with engine.connect() as connection:
        assert find_key_holder(connection, key) is None
        interventions = [tuple(row) for row in connection.execute(KEPT)]
    assert revoked.code == 0
    assert (again.code, "'odds' has been revoked since" in again.err) == (1, True)
    assert (added_again.code, "odds-2" in added_again.err) == (1, True)
    assert [row[0] for row in interventions] == ["publisher_added", "publisher_revoked"]
    assert interventions[1][:4] == ("publisher_revoked", "anna", "it leaked", None)
    assert key not in str(interventions)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("add", "odds", "--operator", "nobody"), 2, "no operator 'nobody'"),
        (("add", "two words"), 2, "without spaces"),
        (("revoke", "nobody"), 1, "no publisher 'nobody'"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(slipway, arguments, code, message):
    ended = slipway("publishers", *arguments)

    assert ended.code == code
    assert message in ended.err
    assert "Traceback" not in ended.err
