"""Where a partner is and what calls to it carry, wrong in many ways, wherever it is entered.

By the command line, as code, in the console and by the API: what is wrong is named with its host or
file and what was expected, and no part of a password or of a key is shown or logged.
"""

import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import Engine, text

from tests.support.api_client import OperationsApi
from tests.support.client_certificates import YEAR, make_pair
from tests.support.command_line import CommandLine
from tests.support.console_app import ConsoleApp
from tests.support.console_partners import add, console_with_acme, send

PARTS = ("canary", "s3cret")  # every password here is made of these
NOW = datetime.now(UTC)  # noqa: TID251 - certificates are valid by the machine's clock
OURS, OTHER = make_pair(NOW), make_pair(NOW, name="other")
OLD, EARLY = make_pair(NOW, lasting=-YEAR / 2), make_pair(NOW + 2 * YEAR)
KEY_LINES = OURS.key.splitlines()[1:-1]
DAMAGED = OURS.chain.replace(OURS.chain.splitlines()[3], "")
BINARY = "0\x82canary"

Case = tuple[str, str | None, str]  # the URL, the host that is named, what is expected
URLS: dict[str, Case] = {
    "no scheme": ("acme.example/hook", "acme.example", "http:// or https:// with a host"),
    "another scheme": ("ftp://acme.example/", "acme.example", "http:// or https:// with a host"),
    "Redis' address": ("redis://acme.example:6379/0", "acme.example:6379", "with a host"),
    "no host": ("https:///hook", None, "http:// or https:// with a host"),
    "a password": ("https://u:canary@acme.example/", "acme.example", "must not hold a user or"),
    "a password with a slash": ("https://u:hid/den@acme.example/", "acme.example", "a port is"),
    "a password for a host": ("https://u:canary", None, "a port is a number"),
    "a port out of range": ("https://acme.example:99999/", "acme.example:99999", "1 to 65535"),
    "a port of 0": ("https://acme.example:0/", "acme.example:0", "1 to 65535"),
    "IPv6 without brackets": ("https://2001:db8::5/", None, "an IPv6 address stands in brackets"),
    "a fragment": ("https://acme.example/?key=s3cret#top", "acme.example", "a fragment"),
    "a space": ("https://acme.example/a b?key=s3cret", "acme.example", "percent-encode"),
    "another script": ("https://bücher.example/", "bücher.example", "punycode"),
}


def certificate(chain: str, key: str, **more: str) -> dict[str, Any]:
    return {"certificate": {"chain": chain, "key": key, **more}}


def oauth(token_url: str = "https://login.example/token", **more: str) -> dict[str, Any]:
    given = {"token_url": token_url, "client_id": "slipway", "client_secret": "s3cret"}
    return {"oauth": given | more}


ACCESSES: dict[str, tuple[dict[str, Any], str]] = {  # an access, and what is expected
    "CA: no PEM": ({"authorities": "canary s3cret"}, "the CA bundle cannot be read: it is not PEM"),
    "CA: a key": ({"authorities": OURS.key}, "the CA bundle holds a private key; take it out"),
    "CA: a key behind": ({"authorities": OURS.chain + OURS.key}, "only certificates belong there"),
    "CA: damaged": ({"authorities": OURS.chain + DAMAGED}, "certificate 2 of 2 is damaged"),
    "CA: expired": ({"authorities": OLD.chain}, "the CA bundle has expired: CN=slipway"),
    "certificate: no PEM": (
        certificate("canary s3cret", OURS.key),
        "the client certificate cannot be read: it is not PEM",
    ),
    "certificate: its key": (
        certificate(OURS.chain + OURS.key, OURS.key),
        "the client certificate holds a private key; take it out",
    ),
    "certificate: expired": (certificate(OLD.chain, OLD.key), "expired at"),
    "certificate: of later": (certificate(EARLY.chain, EARLY.key), "is not valid before"),
    "certificate: out of order": (
        certificate(OURS.chain + OTHER.chain, OURS.key),
        "after each certificate comes the one that issued it",
    ),
    "certificate: damaged": (certificate(DAMAGED, OURS.key), "certificate 1 of 1 is damaged"),
    "key: of another": (certificate(OURS.chain, OTHER.key), "do not belong together"),
    "key: no PEM": (certificate(OURS.chain, "canary s3cret"), "the client certificate's key"),
    "key: a certificate": (certificate(OURS.chain, OURS.chain), "a certificate, not the key"),
    "key: damaged": (
        certificate(OURS.chain, OURS.key.replace(KEY_LINES[1], "canary")),
        "it is damaged, or of another kind",
    ),
    "key: without its passphrase": (
        certificate(OURS.chain, OURS.encrypted_key("canary")),
        "it is encrypted: give its passphrase",
    ),
    "key: another passphrase": (
        certificate(OURS.chain, OURS.encrypted_key("canary"), passphrase="s3cret"),
        "the passphrase does not fit",
    ),
    "key: a needless passphrase": (
        certificate(OURS.chain, OURS.key, passphrase="s3cret"),
        "it has no passphrase",
    ),
    **{
        f"token endpoint: {name}": (oauth(URLS[name][0]), URLS[name][2])
        for name in ("no scheme", "another scheme", "a password with a slash", "a port of 0")
    },
    "token endpoint: no client": (oauth(client_id=""), "OAuth: client_id must be printable"),
    "token endpoint: two lines": (
        oauth(client_secret="canary\ns3cret"),
        "one line",
    ),
    "token endpoint: and Basic": (
        oauth() | {"basic": {"user": "canary", "password": "s3cret"}},
        "Basic and OAuth exclude each other",
    ),
}


def shown(words: str) -> list[str]:
    """What of a secret is in *words*."""
    return [part for part in (*PARTS, *KEY_LINES) if part in words]


def test_every_kind_is_wrong_in_five_ways_or_more() -> None:
    kinds = [name.partition(":")[0] for name in ACCESSES]
    assert len(URLS) >= 5
    assert {kind: kinds.count(kind) for kind in kinds if kinds.count(kind) < 5} == {}


# --- the command line ---

ADD = ("operators", "add", "new", "--protocol", "pam", "--url")
SECRETS = {"client_secret", "password", "passphrase", "chain", "key", "authorities"}


def in_files(access: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Put each secret and certificate in a file of its own, as the command line has it."""
    document: dict[str, Any] = {}
    for name, value in access.items():
        if isinstance(value, Mapping):
            document[name] = in_files(value, folder)
        elif name in SECRETS:
            (folder / f"{name}.txt").write_text(value, encoding="utf-8")
            document[f"{name}_file"] = f"{name}.txt"
        else:
            document[name] = value
    return document


@pytest.fixture
def line(slipway: CommandLine, caplog: pytest.LogCaptureFixture) -> CommandLine:
    """The command line, with a partner, that logs everything."""
    caplog.set_level(logging.DEBUG)
    slipway("operators", "add", "acme", "--url", "https://8.8.8.8/", "--protocol", "pam")
    return slipway


def as_code(folder: Path, **operator: object) -> tuple[str, ...]:
    """Write the partner as code; return the command that applies it."""
    (folder / "secret").write_text("s3cret-canary-s3cret-canary\n", encoding="utf-8")
    given = {"code": "new", "url": "https://8.8.8.8/", "protocol": "pam", "secret_file": "secret"}
    document = {"operators": [given | operator]}
    (folder / "operators.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return ("operators", "apply", "-f", str(folder / "operators.yaml"))


def test_a_url_by_the_command_line(
    line: CommandLine, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    sentences = ""
    for number, (case, (url, host, expected)) in enumerate(URLS.items()):
        words = (
            (*ADD, url),
            ("operators", "set", "acme", "--url", url),
            as_code(tmp_path, url=url),
        )[number % 3]
        refused = line(*words)
        assert (refused.code, refused.out) == (2, ""), (case, words)
        assert f"URL '{url[:6]}" in refused.err, (case, words, refused.err)
        assert expected in refused.err, (case, words, refused.err)
        assert host is None or host in refused.err, (case, words, refused.err)
        sentences += refused.err

    assert shown(caplog.text + sentences) == []


def test_an_access_by_the_command_line(
    line: CommandLine, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    file, sentences = tmp_path / "access.yaml", ""
    for number, (case, (access, expected)) in enumerate(ACCESSES.items()):
        document = in_files(access, tmp_path)
        file.write_text(yaml.safe_dump(document), encoding="utf-8")
        words = (
            (*ADD, "https://8.8.8.8/", "--access-file", str(file)),
            ("operators", "access", "acme", "--file", str(file)),
            as_code(tmp_path, access=document),
        )[number % 3]
        refused = line(*words)
        assert (refused.code, refused.out) == (2, ""), (case, words)
        assert expected in refused.err, (case, words, refused.err)
        sentences += refused.err

    assert shown(caplog.text + sentences) == []


# --- the console and the API ---

STORED = text("SELECT url, access FROM operator")
BEFORE = ("http://127.0.0.1:1/hook", None)


@pytest.fixture
def acme(database: str, engine: Engine) -> Iterator[ConsoleApp]:
    """A console with a partner."""
    with console_with_acme(database, engine) as running:
        yield running


def test_in_the_console(acme: ConsoleApp, engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client, terms, access = acme.operations, "/partners/acme/terms", "/partners/acme/access"
    form, access_form = client.page(terms), client.page(access)
    sentences = ""

    for case, (url, host, expected) in URLS.items():
        page = send(form, client, terms, url=url)
        problem = page.text("#error-url")
        assert (page.status, expected in problem) == (422, True), (case, problem)
        assert host is None or host in problem, (case, problem)
        sentences += problem  # the field holds what was typed: it is the person's own
    for case, (document, expected) in ACCESSES.items():
        page = send(access_form, client, access, document=yaml.safe_dump(document))
        problem = page.text("#error-document")
        assert (page.status, expected in problem) == (422, True), (case, problem)
        sentences += page.response.text

    assert shown(sentences + caplog.text) == []
    with engine.begin() as connection:
        assert tuple(connection.execute(STORED).one()) == BEFORE


def test_by_the_api(api: OperationsApi, engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    add(engine, "acme", BEFORE[0])
    client, sentences = api.operations, ""

    for case, (url, host, expected) in URLS.items():
        refused = client.act("/partners/acme/terms", terms={"url": url})
        problem = refused.json()["message"]
        assert (refused.status_code, expected in problem) == (422, True), (case, refused.text)
        assert host is None or host in problem, (case, problem)
        sentences += refused.text
    for case, (access, expected) in ACCESSES.items():
        refused = client.act("/partners/acme/access", access=access)
        assert (refused.status_code, expected in refused.text) == (422, True), (case, refused.text)
        sentences += refused.text

    assert shown(sentences + caplog.text) == []
    with engine.begin() as connection:
        assert tuple(connection.execute(STORED).one()) == BEFORE
