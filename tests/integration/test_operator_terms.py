"""Every term of an operator: set, shown, exported, and applied again without a change."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from cryptography.fernet import Fernet

from models.operators import OperatorTerms
from models.operators.delivery_terms import DeliveryTerms
from tests.support.command_line import CommandLine

# How it is set, how `show` names and says it, and how the file has it.
PAM: dict[str, tuple[list[str], str, object]] = {
    "url": (["--url", "http://127.0.0.1:9/new"], "url", "http://127.0.0.1:9/new"),
    "close_delay": (["--close-delay", "36h"], "close delay", "36h"),
    "rate": (["--rate", "50/s"], "rate", "50/s"),
    "in_flight": (["--in-flight", "64"], "in flight", 64),
    "timezone": (["--timezone", "Europe/Malta"], "timezone", "Europe/Malta"),
    "announces_tickets": (["--announces-tickets"], "announces tickets", True),
    "lottery_ticket": (["--lottery-ticket", "ticket+draw"], "lottery ticket", "ticket+draw"),
    "user_agent": (["--user-agent", "Acme/1"], "user agent", "Acme/1"),
    "timeout": (["--timeout", "30s"], "timeout", "30s"),
    "retry_schedule": (["--retry-schedule", "5s,1m"], "retry schedule", "5s,1m"),
    "retry_limit": (["--retry-limit", "2h"], "retry limit", "2h"),
    "keep_bodies": (["--keep-bodies", "3d"], "keep bodies", "3d"),
    "taken": (["--taken", "2xx,409"], "taken", "2xx,409"),
    "create_taken": (["--create-taken", "2xx"], "create taken", "2xx"),
    "success_json": (["--success-json"], "success json", True),
    "pass_trace": (["--pass-trace"], "pass trace", True),
    "success_text": (["--success-text", "is OK"], "success text", "is OK"),
    "wants": (["--wants", "ticket_win,ticket_rollback"], "wants", "ticket_win,ticket_rollback"),
}
WALLET: dict[str, tuple[list[str], str, object]] = {
    "agent": (["--agent", "our-name"], "agent", "our-name"),
    "sign_calls": (["--sign"], "signs requests", True),
}
FIXED = {"code", "protocol"}  # nobody changes these


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
def file(tmp_path: Path) -> Path:
    return tmp_path / "operators.yaml"


def shown(slipway: CommandLine) -> dict[str, str]:
    """What `show` says of each setting."""
    rows = slipway("operators", "show", "acme").out.split("\n\n")[0].splitlines()
    return dict(re.split(r"\s{2,}", row.strip(), maxsplit=1) for row in rows if "  " in row.strip())


def exported(slipway: CommandLine, file: Path) -> dict[str, object]:
    slipway("operators", "export", "-f", str(file))
    (operator,) = yaml.safe_load(file.read_text())["operators"]
    assert isinstance(operator, dict)
    return operator


def applied(slipway: CommandLine, file: Path) -> tuple[str, dict[str, object]]:
    document = slipway("operators", "apply", "-f", str(file), "--json").document()
    (step,) = document["operators"]
    return step["step"], step["differences"]


def options_of(terms: dict[str, tuple[list[str], str, object]]) -> list[str]:
    """All of them, for one `set`."""
    return [word for options, *_ in terms.values() for word in options]


def add(slipway: CommandLine, protocol: str) -> None:
    agent = () if protocol == "pam" else ("--agent", "first")
    place = ("--url", "http://127.0.0.1:9/", "--protocol", protocol)
    assert slipway("operators", "add", "acme", *place, *agent).code == 0


def test_no_term_is_left_out_here():
    assert PAM.keys() | WALLET.keys() | FIXED == {term.name for term in fields(OperatorTerms)}


@pytest.mark.parametrize(("protocol", "terms"), [("pam", PAM), ("seamless", WALLET)])
def test_a_term_is_set_shown_exported_and_applied_again_without_a_change(
    slipway, file, protocol, terms
):
    add(slipway, protocol)
    before = exported(slipway, file)
    changed = slipway("operators", "set", "acme", *options_of(terms))
    assert changed.code == 0, changed.err

    expected = {label: "yes" if value is True else str(value) for _, label, value in terms.values()}
    assert shown(slipway).items() >= expected.items()
    assert exported(slipway, file) == before | {name: row[2] for name, row in terms.items()}
    assert applied(slipway, file) == ("nothing", {})


def test_what_the_file_leaves_out_has_its_default_again(slipway, file):
    add(slipway, "pam")
    default = shown(slipway), exported(slipway, file)
    plain = file.read_text()
    slipway("operators", "set", "acme", *options_of(PAM))
    file.write_text(plain)
    step, differences = applied(slipway, file)

    assert (step, set(differences)) == ("change", set(PAM))
    assert (shown(slipway), exported(slipway, file)) == default


def test_the_word_default_returns_the_terms_of_delivery(slipway, file):
    add(slipway, "pam")
    default = shown(slipway), exported(slipway, file)
    own = {term.name: PAM[term.name] for term in fields(DeliveryTerms)}
    slipway("operators", "set", "acme", *options_of(own))
    assert {label for _, label, _ in own.values()} <= shown(slipway).keys()
    back = [
        word
        for (option, *value), _, _ in own.values()
        for word in ([option, "default"] if value else [f"--no-{option.removeprefix('--')}"])
    ]

    assert slipway("operators", "set", "acme", *back).code == 0
    assert (shown(slipway), exported(slipway, file)) == default
