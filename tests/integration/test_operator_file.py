"""Operators kept as code: `slipway operators apply` and `export`."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
from sqlalchemy import text

from models.operators import OperatorTerms
from worker.cli.operators.files import OneOperator

FILE = """
operators:
  - code: acme
    url: http://127.0.0.1:9/
    protocol: pam
    close_delay: 24h
    rate: 50/s
    secret_file: secrets/acme
    api_key_file: secrets/acme-key
  - code: betsy
    url: http://127.0.0.1:9/wallet
    protocol: seamless
    agent: us
    enabled: false
    secret_file: secrets/betsy
"""
KEPT = text("SELECT who, why, did, operator FROM intervention ORDER BY id")


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    """Writes `operators.yaml` beside its secrets; returns its path."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "acme").write_text("secret-of-acme-12345\n")
    (secrets / "acme-key").write_text("key-of-acme-1234567890\n")
    (secrets / "betsy").write_text("secret-of-betsy-12345\n")

    def writing(content: str) -> str:
        file = tmp_path / "operators.yaml"
        file.write_text(content)
        return str(file)

    return writing


def test_a_dry_run_says_what_it_would_do_and_does_nothing(slipway, write):
    ended = slipway("operators", "apply", "-f", write(FILE), "--dry-run")

    assert ended.code == 0
    assert "+ acme (pam, http://127.0.0.1:9/)" in ended.out
    assert "dry run" in ended.err
    assert slipway("operators", "list", "--json").document() == []


def test_applying_the_same_file_again_changes_nothing(slipway, write, engine):
    file = write(FILE)
    arguments = ("operators", "apply", "-f", file, "--json", "--by", "anna", "--why", "as agreed")

    first, again = slipway(*arguments), slipway(*arguments)

    assert [step["step"] for step in first.document()["operators"]] == ["add", "add"]
    assert [step["step"] for step in again.document()["operators"]] == ["nothing", "nothing"]
    with engine.connect() as connection:
        kept = [tuple(row) for row in connection.execute(KEPT)]
    assert kept == [
        ("anna", "as agreed", "operator_added", "acme"),
        ("anna", "as agreed", "operator_added", "betsy"),
        ("anna", "as agreed", "operator_disabled", "betsy"),
    ]
    acme, betsy = slipway("operators", "list", "--json").document()
    assert (acme["rate"], acme["keys"], acme["disabled_at"]) == (50.0, ["operator/acme"], None)
    assert (betsy["announces_tickets"], betsy["disabled_at"] is None) == (True, False)


def test_what_differs_is_shown_and_changed_and_what_is_not_listed_stays(slipway, write):
    slipway("operators", "apply", "-f", write(FILE))
    acme_alone = FILE.partition("  - code: betsy")[0]
    changed = acme_alone.replace("50/s", "3000/min").replace("24h", "48h")

    message = slipway("operators", "apply", "-f", write(changed))
    differing = slipway("operators", "apply", "-f", write(changed.replace("48h", "1h")), "--json")

    assert message.out.splitlines() == [
        "~ acme",
        "    close_delay: 24h -> 48h",
        "not in the file, left as they are: betsy",
    ]
    (acme,) = differing.document()["operators"]
    assert acme["differences"] == {"close_delay": {"from": "48h", "to": "1h"}}
    assert len(slipway("operators", "list", "--json").document()) == 2


def test_a_secret_is_never_exchanged_by_the_way_and_never_shown(slipway, write, tmp_path):
    file = write(FILE)
    slipway("operators", "apply", "-f", file)
    (tmp_path / "secrets" / "acme").write_text("another-secret-12345\n")
    (tmp_path / "secrets" / "acme-key").write_text("another-key-1234567890\n")

    refused = slipway("operators", "apply", "-f", file)

    assert refused.code == 2
    assert "rotate-secret acme" in refused.err
    assert "publishers add NAME --operator acme" in refused.err
    assert "another-" not in refused.err + refused.out


def test_one_mistake_holds_back_the_whole_file(slipway, write):
    wrong = FILE.replace("http://127.0.0.1:9/wallet", "ftp://127.0.0.1/")

    refused = slipway("operators", "apply", "-f", write(wrong))

    assert (refused.code, "betsy: URL 'ftp://127.0.0.1/' must be http" in refused.err) == (2, True)
    assert slipway("operators", "list", "--json").document() == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("operators: [", "line 1: it is not YAML"),
        ("- acme", "the file: "),
        ("operators:\n- code: 007\n  url: http://x/\n  protocol: pam", "7 code: "),
        ("operators:\n- {code: a, url: u, protocol: pam, in_fligth: 3}", "a in_fligth: "),
        (
            "operators:\n- {code: a, url: u, protocol: pam, closeDelay: 2h}",
            "a closeDelay: Extra inputs are not permitted; did you mean close_delay?",
        ),
        ("Operators: []", "did you mean operators?"),
        ("operators:\n- {code: a, url: u, protocol: pam, rate: 50/day}", "write 50/s"),
        ("operators:\n- {code: a, code: b}", "'code' is given twice"),
        (
            "operators:\n- {code: a, url: http://x/, protocol: pam}",
            "a: it is new, so it needs a secret_file",
        ),
        (
            "operators:\n- {code: a, url: http://x/, protocol: pam, secret_file: none}",
            "a: secret_file",
        ),
        (FILE + FILE.removeprefix("\noperators:\n"), "acme: declared 2 times"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_sentence_that_says_where(slipway, write, content, message):
    ended = slipway("operators", "apply", "-f", write(content))

    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err


def test_what_is_exported_can_be_applied_elsewhere(slipway, write, tmp_path, empty_database):
    slipway("operators", "apply", "-f", write(FILE))
    copy = tmp_path / "copy" / "operators.yaml"
    copy.parent.mkdir()
    options = ("-f", str(copy), "--secrets", str(copy.parent / "secrets"))

    exported = slipway("operators", "export", *options)

    assert exported.code == 0
    assert "API keys are not in the file" in exported.err
    assert "secret-of" not in copy.read_text() + exported.out + exported.err
    assert {path.stat().st_mode & 0o777 for path in copy.parent.glob("secrets/*")} == {0o600}
    here = slipway("operators", "apply", "-f", str(copy), "--json").document()
    assert [step["step"] for step in here["operators"]] == ["nothing", "nothing"]
    slipway.export(database_url=empty_database)
    slipway("migrate")
    there = slipway("operators", "apply", "-f", str(copy), "--json").document()
    assert [step["step"] for step in there["operators"]] == ["add", "add"]


def test_exported_without_a_place_for_them_the_secrets_stay_where_they_are(slipway, write):
    slipway("operators", "apply", "-f", write(FILE))

    exported = slipway("operators", "export")

    assert "secret_file" not in exported.out
    assert "with --secrets DIR" in exported.err


def test_the_file_can_say_all_that_holds_for_an_operator():
    assert {field.name for field in fields(OperatorTerms)} <= set(OneOperator.model_fields)
