"""The access file that deploy/PARTNERS.md prints, and the commands below it, run as they stand."""

import re
import shlex
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from tests.support.client_certificates import make_pair
from tests.support.command_line import CommandLine
from tests.support.sources import ROOT

PAGE = (ROOT / "deploy/PARTNERS.md").read_text(encoding="utf-8")
(PRINTED,) = re.findall(r"```yaml\n(headers:.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"^    slipway (operators access acme.*)$", PAGE, re.MULTILINE)
NAMED = re.compile(r"_file: ([\w.-]+)")
CENTURY = timedelta(days=36500)  # it holds on any day


def uncommented(name: str) -> str:
    """The file with the way that is commented out, instead of Basic."""
    block = re.search(rf"^# {name}.*\n(?:#   .*\n)*", PRINTED, re.MULTILINE)
    assert block is not None, name
    lines = (line.removeprefix("# ") for line in block[0].splitlines(keepends=True))
    kept = re.sub(r"^basic:.*\n", "", PRINTED, flags=re.MULTILINE)
    return kept.replace(block[0], "".join(lines))


@pytest.fixture
def folder(tmp_path: Path, clock, monkeypatch) -> Path:
    """Where the reader types: with each file that the page names."""
    monkeypatch.chdir(tmp_path)
    pair = make_pair(clock.now(), lasting=CENTURY)
    contents = {
        "acme.crt": pair.chain,
        "acme.key": pair.encrypted_key("open sesame"),
        "acme.passphrase": "open sesame\n",
        "acme-ca.pem": make_pair(clock.now(), name="acme-ca", lasting=CENTURY).chain,
    }
    for name in NAMED.findall(PRINTED):
        (tmp_path / name).write_text(contents.get(name, f"what-{name}-holds\n"))
    return tmp_path


@pytest.fixture
def acme(slipway: CommandLine) -> None:
    slipway("operators", "add", "acme", "--url", "https://127.0.0.1/", "--protocol", "pam")


@pytest.mark.usefixtures("acme")
def test_the_commands_below_it_set_change_and_show_it(slipway: CommandLine, folder: Path):
    (folder / "access.yaml").write_text(PRINTED)
    (folder / "next.yaml").write_text(uncommented("bearer_file"))

    first, second, shown = (slipway(*shlex.split(command)) for command in COMMANDS)

    assert first.code == second.code == shown.code == 0, (first.err, second.err, shown.err)
    assert "the new access is used within a second" in first.out
    assert "the new access is used from " in second.out
    now, later = shown.out.split("\nfrom ")
    for words in ("X-Tenant", "user slipway, password (secret)", "CN=slipway", "CN=acme-ca"):
        assert words in now, words
    assert "Bearer" in later
    assert "holds" not in shown.out.replace("X-Tenant", ""), "no secret is shown"


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize(("name", "method"), [("bearer_file", "bearer"), ("oauth", "oauth")])
def test_each_way_that_is_commented_out_can_be_used(slipway: CommandLine, folder, name, method):
    (folder / "access.yaml").write_text(uncommented(name))

    given = slipway(*shlex.split(COMMANDS[0]))

    assert given.code == 0, given.err + given.out
    access = slipway("operators", "access", "acme", "--json").document()["access"]
    assert access["method"] == method
    assert {"headers", "certificate", "authorities"} < access.keys()


@pytest.mark.usefixtures("folder")
def test_the_same_stands_below_access_in_a_file_of_operators(slipway: CommandLine, folder: Path):
    (folder / "acme.secret").write_text("a-secret-of-the-operator\n")
    operator = {
        "code": "acme",
        "url": "https://127.0.0.1/",
        "protocol": "pam",
        "secret_file": "acme.secret",
        "access": yaml.safe_load(PRINTED),
    }
    (folder / "operators.yaml").write_text(yaml.safe_dump({"operators": [operator]}))

    applied = slipway("operators", "apply", "-f", "operators.yaml", "--why", "new")
    (folder / "access.yaml").write_text(PRINTED)
    same = slipway(*shlex.split(COMMANDS[0]))

    assert applied.code == 0, applied.err + applied.out
    assert "it has this access already" in same.out
