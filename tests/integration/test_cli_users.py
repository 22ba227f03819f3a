"""`slipway users` and `slipway tokens`: people and programs, each act with a name and a reason."""

import os
import subprocess
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from models.platform.clock import DatabaseClock
from models.users import NewSession, Role, find_session, find_token
from tests.support.command_line import CommandLine
from tests.support.users import LIMITS, PASSWORD, try_sign_in

ADD = ("users", "add", "Anna", "--role", "support", "--password-file")
KEPT = text("SELECT did, who, why FROM intervention ORDER BY id")
ROOT = Path(__file__).parents[2]
NEW_PASSWORD = "a second password"


@pytest.fixture
def slipway(monkeypatch, capsys, database, redis_url) -> CommandLine:
    line = CommandLine(monkeypatch, capsys)
    line.export(database_url=database, redis_url=redis_url)
    line.export(secret_key=Fernet.generate_key().decode())
    return line


@pytest.fixture
def anna(slipway, tmp_path):
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}\n")
    ended = slipway(*ADD, str(path), "--by", "admin", "--why", "new in the team")
    assert (ended.code, ended.out) == (0, "user Anna added as support\n")


def at_the_console(engine: Engine, password: str = PASSWORD) -> NewSession:
    """Sign in with the password, which must be right."""
    with engine.begin() as connection:
        now = DatabaseClock().now(connection)
    session = try_sign_in(engine, "anna", password, now=now)
    assert isinstance(session, NewSession), session
    return session


@pytest.mark.parametrize(
    "command",
    [
        *("users", "users add", "users list", "users set", "users disable", "users enable"),
        *("users sessions", "users sign-out"),
        *("tokens", "tokens add", "tokens list", "tokens revoke"),
    ],
)
def test_every_command_explains_itself_with_an_example(slipway, command):
    message = slipway(*command.split(), "--help")

    assert message.code == 0
    assert f"Usage: slipway {command}" in message.out
    assert " " not in command or "Example" in message.out


def test_a_user_signs_in_with_the_password_in_the_file(slipway, anna, engine):
    at_the_console(engine)
    listed = slipway("users", "list")
    assert ("Anna" in listed.out, "support" in listed.out) == (True, True)
    [user] = slipway("users", "list", "--json").document()
    assert (user["name"], user["role"], user["has_password"]) == ("Anna", "support", True)


def test_a_password_may_come_from_stdin(slipway, engine):
    added = slipway(*ADD, "-", "--json", stdin=f"{PASSWORD}\r\n".encode())

    assert (added.code, added.document()["name"]) == (0, "Anna")
    at_the_console(engine)


def test_a_person_types_the_password_twice_and_does_not_see_it(slipway, engine):
    typed, screen = type_into("users", "add", "Anna", "--role", "support", lines=[PASSWORD] * 2)

    assert typed == 0
    assert "user Anna added as support" in screen
    assert PASSWORD not in screen
    at_the_console(engine)


def type_into(*words: str, lines: Sequence[str]) -> tuple[int, str]:
    """Run a command at a terminal and answer each question; return its code and the screen."""
    keyboard, terminal = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", "from worker.cli import main; main()", *words],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,  # else it would ask at the terminal of the tests
        cwd=ROOT,
    ) as process:
        os.close(terminal)
        screen = ""
        for question, line in enumerate(lines, 1):
            while screen.count(": ") < question:
                screen += os.read(keyboard, 4096).decode()
            os.write(keyboard, f"{line}\n".encode())
        with suppress(OSError):  # Linux' word for a terminal that nobody has open any more
            while shown := os.read(keyboard, 4096):
                screen += shown.decode()
    os.close(keyboard)
    return process.returncode, screen


def test_without_a_terminal_a_command_asks_nothing(slipway):
    ended = slipway(*ADD[:-1])

    assert (ended.code, "pass --password-file FILE" in ended.err) == (2, True)


def test_a_new_password_signs_the_user_out(slipway, anna, engine):
    session = at_the_console(engine)

    changed = slipway(
        *("users", "set", "anna", "--role", "viewer", "--password-file", "-"),
        stdin=NEW_PASSWORD.encode(),
    )

    assert changed.out == (
        "user anna is viewer now\nuser anna has a new password; sessions ended: 1\n"
    )
    with engine.begin() as connection:
        now = DatabaseClock().now(connection)
        assert find_session(connection, session.token, limits=LIMITS, now=now) is None
    at_the_console(engine, NEW_PASSWORD)


def test_a_user_is_disabled_enabled_and_signed_out_with_a_reason(slipway, anna, engine):
    at_the_console(engine)
    sessions = slipway("users", "sessions", "ANNA")
    outcomes = [
        slipway("users", *words, "anna", "--by", "ben", "--why", "trying it").out
        for words in (["sign-out"], ["disable"], ["disable"], ["enable"], ["enable"])
    ]

    assert ("203.0.113.7" in sessions.out, "Firefox" in sessions.out) == (True, True)
    assert slipway("users", "sessions", "anna", "--json").document() == []
    assert outcomes == [
        "user anna is signed out; sessions ended: 1\n",
        "user anna is disabled, and signed out\n",
        "user anna is disabled already; nothing changed\n",
        "user anna is enabled, and may sign in\n",
        "user anna is enabled already; nothing changed\n",
    ]
    with engine.begin() as connection:
        kept = [tuple(row) for row in connection.execute(KEPT)]
    assert kept == [
        ("user_added", "admin", "new in the team"),
        ("user_signed_out", "ben", "trying it"),
        ("user_disabled", "ben", "trying it"),
        ("user_enabled", "ben", "trying it"),
    ]


def test_who_signs_in_elsewhere_needs_no_password(slipway):
    added = slipway("users", "add", "ben", "--role", "viewer", "--external", "oidc", "--json")

    assert added.code == 0
    assert (added.document()["source"], added.document()["has_password"]) == ("oidc", False)


def test_a_token_is_shown_once_and_revoked(slipway, engine):
    added = slipway("tokens", "add", "ci", "--role", "viewer", "--expires", "90d", "--json")
    token = added.document()["token"]
    listed = slipway("tokens", "list")
    with engine.begin() as connection:
        now = DatabaseClock().now(connection)
        holder = find_token(connection, token, now=now)
    revoked = slipway("tokens", "revoke", "ci", "--why", "it leaked")

    assert holder is not None
    assert holder.role == Role.VIEWER
    assert (added.document()["prefix"] in listed.out, token in listed.out) == (True, False)
    assert token not in slipway("tokens", "list", "--json").out
    assert (revoked.code, revoked.out) == (0, "token ci revoked\n")
    with engine.begin() as connection:
        assert find_token(connection, token, now=now) is None


def test_a_token_without_an_end_is_added_with_a_warning(slipway):
    added = slipway("tokens", "add", "ci", "--role", "operations")

    assert "until it is revoked" in added.err
    assert "shown only once: slipway_" in added.out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("users add anna --role support --password-file /no/such", 2, "No such file"),
        ("users add anna --role support --password-file -", 2, "stdin is empty"),
        ("users add anna --role boss --external oidc", 2, "Invalid value for '--role'"),
        ("users add anna --role viewer --external oidc --password-file -", 2, "either"),
        ("users set anna", 2, "no changes given"),
        ("users set anna --password --password-file -", 2, "either"),
        ("users set nobody --role viewer", 1, "no user 'nobody'"),
        ("users disable nobody", 1, "slipway users list"),
        ("users sessions nobody", 1, "no user 'nobody'"),
        ("tokens add ci --role viewer --expires 0s", 2, "expire at once"),
        ("tokens add ci --role viewer --expires 99999999d", 2, "beyond the calendar"),
        ("tokens add ci --role viewer --expires soon", 2, "not a duration"),
        ("tokens revoke ci", 1, "slipway tokens list"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(slipway, arguments, code, message):
    ended = slipway(*arguments.split())

    assert (ended.code, message in ended.err) == (code, True), ended.err
    assert "Traceback" not in ended.err


def test_what_is_taken_or_too_short_is_a_sentence_too(slipway, anna):
    taken = slipway(*ADD, "-", stdin=PASSWORD.encode())
    short = slipway("users", "set", "anna", "--password-file", "-", stdin=b"geheim123")

    assert (taken.code, "exists already" in taken.err) == (1, True)
    assert (short.code, "has 9 characters" in short.err) == (2, True)
    assert "geheim123" not in short.err


def test_no_secret_is_shown_stored_or_in_a_traceback(slipway, anna, engine):
    """Whatever fails: neither a password, nor a token of a session or a program."""
    session = at_the_console(engine)
    token = slipway("tokens", "add", "ci", "--role", "viewer", "--json").document()["token"]
    texts = [repr(session)]
    for words in ("users list", "users list --json", "users sessions anna", "tokens list --json"):
        ended = slipway(*words.split())
        texts.append(ended.out + ended.err)
    with engine.begin() as connection:
        for table in ("user_account", "user_session", "api_token", "intervention"):
            rows = connection.execute(text(f"SELECT t::text FROM {table} t")).scalars()  # noqa: S608 - names of the line above
            texts.append("\n".join(rows))
        connection.execute(text("ALTER TABLE user_account ADD CHECK (name <> 'poison')"))
    with pytest.raises(DBAPIError) as bug:
        slipway(
            *("users", "add", "poison", "--role", "viewer", "--password-file", "-"),
            stdin=NEW_PASSWORD.encode(),
        )
    texts.append("".join(traceback.format_exception(bug.value)))

    assert all(len(shown) > 50 for shown in texts), "they hold what was looked for in them"
    secrets = (PASSWORD, NEW_PASSWORD, session.token, token)
    assert [shown for shown in texts for secret in secrets if secret in shown] == []
    assert "argon2id" not in texts[-1]
