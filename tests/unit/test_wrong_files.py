"""Each setting and option that names a file, wrong in many ways: never with what the file holds."""

import logging
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from models.settings.errors import InvalidSettings
from models.settings.settings import Settings, read_settings
from tests.support.authority import Authority
from tests.support.command_line import CommandLine
from tests.support.delivery_setup import KEY
from worker.delivery.http.egress import Egress
from worker.delivery.http.limits import TransferLimits
from worker.doctor.egress import check_egress
from worker.doctor.finding import Finding, State
from worker.doctor.sign_in import check_sign_in
from worker.identity_provider.provider import client_secret, open_client

# Every secret here is made of these; nothing that is shown may hold one of them.
PARTS = ("hidden", "s3cret")
HIDDEN = b"hidden s3cret"
OURS = Authority("ours")

NOW = datetime.now(UTC)  # noqa: TID251 - certificates are valid by the machine's clock
SECRET_FILE = "SLIPWAY_CONSOLE_OIDC_CLIENT_SECRET_FILE"

SetFile = Callable[[str, Path], None]
Content = bytes | None  # what the file holds; None: there is no file
Case = tuple[Content, str]  # and a part of the message


def damaged() -> bytes:
    """A certificate of which the middle is missing."""
    lines = OURS.pem.splitlines(keepends=True)
    return b"".join(lines[:2] + lines[-1:])


LINE_CASES: dict[str, Case] = {
    "missing": (None, "No such file"),
    "empty": (b"", "is empty"),
    "a blank line": (b" \n", "is empty"),
    "two lines": (b"hidden\ns3cret\n", "more than one line"),
    "UTF-16": (HIDDEN.decode().encode("utf-16"), "UTF-8"),
    "binary": (b"\xff\xfe" + HIDDEN, "UTF-8"),
    "a control character": (b"hidden\x07s3cret", "a control character"),
    "too large": (HIDDEN * 1000, "more than 8 KiB"),
}
PROXY_CASES: dict[str, Case] = {
    **LINE_CASES,
    "a password with an at sign": (b"http://u:hidden@s3cret@proxy:1", "@ as %40"),
    "no port": (b"http://u:hidden@proxy", "names no port"),
    "SOCKS": (b"socks5://u:hidden@proxy:1080", "(host: proxy:1080)"),
    "no scheme": (b"s3cret:3128", "http://user:password@proxy.example.com:3128"),
}
CERTIFICATES = "certificates (PEM)"
AUTHORITY_CASES: dict[str, Case] = {
    "missing": (None, "No such file"),
    "empty": (b"", "is empty"),
    "no PEM": (HIDDEN, "it is not PEM"),
    "binary": (b"\x30\x82hidden", "openssl x509 -inform der"),
    "a key": (OURS.issue("hidden").key, "holds a private key"),
    "a key behind": (OURS.pem + OURS.issue("hidden").key, "holds a private key; take it out"),
    "damaged": (damaged(), "certificate 1 of 1 is damaged"),
    "the second damaged": (OURS.pem + damaged(), "certificate 2 of 2 is damaged"),
    "too large": (b"-" * (4 * 1024 * 1024 + 1), "is too large"),
}


def of_proxy(settings: Settings) -> object:
    return Egress.of(settings)


def of_authorities(settings: Settings) -> object:
    return TransferLimits.of(settings)


def doctor(settings: Settings) -> list[Finding]:
    return [*check_egress(settings, now=NOW), *check_sign_in(settings)]


# What reads the file when a process starts, what is expected, and the cases.
FILES: dict[str, tuple[Callable[[Settings], object], str, dict[str, Case]]] = {
    "SLIPWAY_PARTNER_CA_FILE": (of_authorities, CERTIFICATES, AUTHORITY_CASES),
    "SLIPWAY_PARTNER_PROXY_FILE": (of_proxy, "proxy", PROXY_CASES),
    "SLIPWAY_CONSOLE_OIDC_CA_FILE": (open_client, CERTIFICATES, AUTHORITY_CASES),
    SECRET_FILE: (client_secret, "one line, the client's secret at the provider", LINE_CASES),
}
CASES = {
    f"{setting}: {name}": (setting, *case)
    for setting, (_, _, cases) in FILES.items()
    for name, case in cases.items()
}


@pytest.fixture
def slipway(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> CommandLine:
    """A terminal whose settings are all valid; no server listens there."""
    caplog.set_level(logging.DEBUG)
    line = CommandLine(monkeypatch, capsys)
    line.export(
        database_url="postgresql://slipway@127.0.0.1:1/slipway",
        redis_url="redis://127.0.0.1:1/0",
        secret_key=KEY,
    )
    return line


@pytest.fixture
def set_file(slipway: CommandLine, monkeypatch: pytest.MonkeyPatch) -> SetFile:
    """Sets the one setting, and what it needs."""

    def work(setting: str, path: Path) -> None:
        if "OIDC" in setting:
            slipway.export(
                console_url="https://ops.example.com",
                console_oidc_issuer="https://login.invalid",
                console_oidc_client_id="slipway",
                console_oidc_client_secret="" if setting == SECRET_FILE else "s3cret",
            )
        monkeypatch.setenv(setting, str(path))
        read_settings.cache_clear()

    return work


def put(path: Path, content: Content) -> Path:
    if content is not None:
        path.write_bytes(content)
    return path


@pytest.mark.parametrize(("setting", "content", "problem"), CASES.values(), ids=CASES)
def test_what_is_wrong_with_the_file_of_a_setting_is_named_and_nothing_of_it(
    set_file: SetFile,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    setting: str,
    content: Content,
    problem: str,
) -> None:
    read, expected, _ = FILES[setting]
    path = put(tmp_path / "named", content)
    set_file(setting, path)
    settings = read_settings()

    with pytest.raises(InvalidSettings) as refusal:
        read(settings)
    (finding,) = doctor(settings)

    (sentence,) = refusal.value.problems
    assert sentence.startswith(f"{setting}: ")
    assert sentence in finding.detail
    assert str(path) in sentence
    assert problem in sentence
    assert expected in sentence
    assert finding.state in {State.WRONG, State.DOUBTFUL}  # doubtful: a console may run elsewhere
    whole = "".join(traceback.format_exception(refusal.value)) + str(finding) + caplog.text
    assert [part for part in PARTS if part in whole] == []


@pytest.mark.parametrize("setting", FILES)
def test_a_folder_is_no_file(set_file: SetFile, tmp_path: Path, setting: str) -> None:
    set_file(setting, tmp_path)
    read, expected, cases = FILES[setting]

    with pytest.raises(InvalidSettings) as refusal:
        read(read_settings())

    (sentence,) = refusal.value.problems
    assert sentence.startswith(f"{setting}: {tmp_path} cannot be read: Is a directory; expected: ")
    assert expected in sentence
    assert len(cases) >= 5


# --- the command line ---

ADD = ("operators", "add", "acme", "--url", "https://acme.invalid/", "--protocol", "pam")
USER = ("--role", "viewer", "--why", "tests")
OPTIONS: dict[str, tuple[str, ...]] = {  # the commands, each with the option at its end
    "operators add": (*ADD, "--secret-file"),
    "an API key": (*ADD, "--api-key-file"),
    "an access": (*ADD, "--access-file"),
    "another access": ("operators", "access", "acme", "--file"),
    "rotate-secret": ("operators", "rotate-secret", "acme", "--secret-file"),
    "operators as code": ("operators", "apply", "-f"),
    "users add": ("users", "add", "anna", *USER, "--password-file"),
    "users set": ("users", "set", "anna", "--password-file"),
    "partner": ("partner", "--secret-file"),
}
ONE_LINE = {"--secret-file", "--api-key-file", "--password-file"}
OF_A_LINE: dict[str, Case] = {
    "missing": (None, "No such file"),
    "empty": (b"\n", "the file is empty; put the secret on one line"),
    "two lines": (b"hidden\ns3cret\n", "more than one line; put the secret on one line"),
    "UTF-16": (HIDDEN.decode().encode("utf-16"), "not UTF-8 text"),
    "too large": (HIDDEN * 2000, "at most 16 KiB are taken"),
}
OF_YAML: dict[str, Case] = {
    "missing": (None, "No such file"),
    "empty": (b"", ""),
    "no YAML": (b"bearer: @hidden s3cret", "line 1"),
    "an alias": (b"bearer: *hidden", "line 1"),
    "a text": (HIDDEN, ""),
    "UTF-16": (b"\xff\xfe\0hidden", ""),
    "too large": (b"#" + HIDDEN * 400_000, "are taken"),
}
COMMANDS = {
    f"{name}: {way}": (words, *case)
    for name, words in OPTIONS.items()
    for way, case in (OF_A_LINE if words[-1] in ONE_LINE else OF_YAML).items()
}


@pytest.mark.parametrize(("words", "content", "problem"), COMMANDS.values(), ids=COMMANDS)
def test_what_is_wrong_with_the_file_of_an_option_is_named_and_nothing_of_it(
    slipway: CommandLine,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    words: tuple[str, ...],
    content: Content,
    problem: str,
) -> None:
    path = put(tmp_path / "named", content)

    refused = slipway(*words, str(path))

    assert (refused.code, refused.out) == (2, "")
    assert f"{words[-1]} {path}" in refused.err
    assert problem in refused.err
    assert [part for part in PARTS if part in refused.err + caplog.text] == []
