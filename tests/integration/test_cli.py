"""The command line: usage, exit codes, errors as one sentence on stderr; operators; the partner."""

import signal
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import httpx
import pytest
from cryptography.fernet import Fernet

from tests.support.command_line import CommandLine
from tests.support.fork_server import Popen
from worker.cli.application import Slipway

ROOT = Path(__file__).parents[2]
ADD = ("operators", "add", "acme", "--url", "http://127.0.0.1:9/", "--protocol", "pam")


@pytest.fixture
def slipway(monkeypatch, capsys) -> CommandLine:
    return CommandLine(monkeypatch, capsys)


@pytest.fixture
def at_home(slipway: CommandLine, database, redis_url) -> CommandLine:
    """The same, with servers."""
    key = Fernet.generate_key().decode()
    slipway.export(database_url=database, redis_url=redis_url, secret_key=key)
    slipway.export(partner_networks="127.0.0.0/8")
    return slipway


@pytest.mark.parametrize("command", [*Slipway.table, "", "operators add", "events parked retry"])
def test_help_answers_without_loading_what_only_a_run_needs(command):
    heavy = {"sqlalchemy", "alembic", "redis", "celery", "rich", "cryptography", "producers"}
    if not command:
        heavy |= {"pydantic", "models.lifecycle"}  # Typer reads options with Pydantic
    program = f"""
import atexit, sys, worker.cli
atexit.register(lambda: print("loaded:", [name for name in {heavy!r} if name in sys.modules]))
sys.argv = ["slipway", *{command.split()!r}, "--help"]
worker.cli.main()
"""

    page = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert "Usage: slipway" in page.stdout
    assert page.stdout.endswith("loaded: []\n")


@pytest.mark.parametrize(
    "command",
    [
        *("", "demo", "up", "migrate", "operators", "operators add", "operators list", "publish"),
        *("operators show", "operators set", "operators disable", "operators enable"),
        *("operators rotate-secret", "operators reseal", "operators ping"),
        *("partner", "ticket", "events", "events rejected", "events rejected list", "lifecycle"),
    ],
)
def test_every_command_explains_itself(slipway, command):
    help_page = slipway(*command.split(), "--help")

    assert help_page.code == 0
    assert "Usage: slipway" in help_page.out
    if command.split()[-1:] not in ([], ["operators"], ["events"], ["rejected"]):
        assert "Example: " in help_page.out


def test_the_version_is_the_one_of_the_project(slipway):
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert slipway("--version").out == f"slipway {declared}\n"


@pytest.mark.parametrize("group", ["", "operators", "events", "notices dead"])
def test_help_says_what_every_command_does_without_cutting_it_off(slipway, group):
    page = slipway(*group.split(), "--help").out

    assert "Commands:" in page
    assert "..." not in page.partition("Commands:")[2]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("tickt", "Did you mean 'ticket', 'tickets'?"),
        ("events rejected list --since yesterday", "'yesterday' is not a duration"),
        ("operators add a --url http://x --protocol pam --rate 50", "write 50/s"),
        ("operators list", "SLIPWAY_DATABASE_URL is not set"),
        ("up", "To use embedded servers: slipway up --embedded"),
        ("partner --secret-file no-such-file", "--secret-file no-such-file: No such file"),
    ],
)
def test_wrong_usage_and_set_up_end_with_code_2_and_a_sentence(slipway, command, message):
    ended = slipway(*command.split())

    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""


def test_a_database_that_is_unavailable_is_named_without_its_password(at_home):
    at_home.export(database_url="postgresql://slipway:hunter2@127.0.0.1:1/x")

    ended = at_home("operators", "list")

    assert ended.code == 2
    assert "SLIPWAY_DATABASE_URL" in ended.err
    assert "hunter2" not in ended.err


def test_an_empty_database_asks_for_migrate_and_migrate_makes_it_work(at_home, empty_database):
    at_home.export(database_url=empty_database)
    assert "run `slipway migrate`" in at_home("operators", "list").err

    assert at_home("migrate").code == 0

    assert at_home("operators", "list", "--json").document() == []


def test_migrate_needs_the_database_alone(slipway, empty_database):
    slipway.export(database_url=empty_database)

    assert slipway("migrate").out.endswith("the schema is up to date\n")


def test_the_lifecycle_is_printed_in_three_forms(slipway):
    assert "| `ticket_win` |" in slipway("lifecycle").out
    assert slipway("lifecycle", "--format", "mermaid").out.startswith("stateDiagram-v2")
    moves = slipway("lifecycle", "--json").document()
    assert {"from": "open", "action": "ticket_win", "to": "resulted"} in moves


def test_a_secret_that_was_made_is_shown_once(at_home):
    added = at_home(*ADD, "--json", "--by", "anna", "--why", "contract")
    secret = added.document()["secret"]

    assert added.code == 0
    assert len(secret) > 40
    assert secret not in added.err
    listed = at_home("operators", "list")
    assert "acme" in listed.out
    assert secret not in listed.out
    assert secret not in at_home("operators", "list", "--json").out


def test_a_secret_from_a_file_is_never_shown(at_home, tmp_path):
    (tmp_path / "secret").write_text("from-the-file-of-anna\n", encoding="utf-8")
    (tmp_path / "key").write_text("short\n", encoding="utf-8")
    files = ["--secret-file", str(tmp_path / "secret")]

    refused = at_home(*ADD, *files, "--api-key-file", str(tmp_path / "key"))
    added = at_home(*ADD, *files, "--close-delay", "5m", "--json")
    again = at_home(*ADD, *files)

    assert (refused.code, "it needs at least 20" in refused.err) == (2, True)
    assert (added.code, added.document()["secret"]) == (0, None)
    assert "close delay 5m is shorter than SLIPWAY_PARKING_WINDOW" in added.err
    assert (again.code, "'acme' exists already" in again.err) == (1, True)
    assert "from-the-file" not in refused.err + added.out + added.err + again.err


def test_an_address_out_of_reach_is_a_warning(at_home):
    added = at_home(*ADD, "--url", "http://10.1.2.3/")

    assert added.code == 0
    assert "private address outside SLIPWAY_PARTNER_NETWORKS" in added.err


def test_the_partner_prints_each_request_until_it_is_ended(tmp_path):
    (tmp_path / "secret").write_text("12345ABCDE\n", encoding="utf-8")
    command = [sys.executable, "-c", "from worker.cli import main; main()", "partner"]
    options = ["--port", "0", "--secret-file", str(tmp_path / "secret")]
    with Popen[str](
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as partner:
        assert partner.stderr is not None
        assert partner.stdout is not None
        url = partner.stderr.readline().split("listens at ")[1].split(";")[0]
        assert httpx.post(url, content=b'{"action":"ping"}', timeout=30).status_code == 200
        line = partner.stdout.readline()
        partner.send_signal(signal.SIGINT)

        assert partner.wait(timeout=60) == 0
    assert "ping" in line
    assert "-> 200" in line


def test_a_port_that_is_taken_is_exit_code_1(slipway, tmp_path):
    (tmp_path / "secret").write_text("12345ABCDE\n", encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = slipway("partner", "--port", port, "--secret-file", str(tmp_path / "secret"))

    assert ended.code == 1
    assert f"cannot listen on 127.0.0.1:{port}" in ended.err
