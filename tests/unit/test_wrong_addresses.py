"""Each address setting, wrong in many ways: named with its host, and never with its password."""

import traceback
from collections.abc import Callable

import pytest

from models.settings.errors import InvalidSettings
from models.settings.settings import read_console_settings, read_settings
from producers.gateway.app import build_app as build_gateway
from tests.support.command_line import CommandLine
from tests.support.delivery_setup import KEY
from worker.console.app import build_app as build_console

# Every password here is made of these; a message must hold none of them.
PARTS = ("hidden", "s3cret")
DATABASE = ("SLIPWAY_DATABASE_URL", "SLIPWAY_MIGRATION_DATABASE_URL")
REDIS = ("SLIPWAY_REDIS_URL", "SLIPWAY_BROKER_URL")
NETWORKS = (
    "SLIPWAY_PARTNER_NETWORKS",
    "SLIPWAY_CONSOLE_PROXY_NETWORKS",
    "SLIPWAY_PARTNER_PROXY_NETWORKS",
    "SLIPWAY_CONSOLE_OIDC_NETWORKS",
)
PORT = "number from 1 to 65535"
ESCAPE = "@ as %40, / as %2F"
PERCENT = "write the % itself as %25"
BRACKETS = "an IPv6 address stands in brackets"
SPACE = "a space as %20"

Case = tuple[str, str | None, str]  # the value, the host that is named, what is expected

# What is wrong with the address of any server: behind the scheme, and the host that is named.
PASSWORDS: dict[str, Case] = {
    "a space": ("u:hidden s3cret@db:1/0", "db:1", SPACE),
    "a line break": ("u:hidden\ns3cret@db:1/0", "db:1", SPACE),
    "an at sign": ("u:hidden@s3cret@db:1/0", None, ESCAPE),
    "a slash": ("u:hidden/s3cret@db:1/0", None, ESCAPE),
    "a hash": ("u:hidden#s3cret@db:1/0", None, ESCAPE),
    "a question mark": ("u:hidden?s3cret@db:1/0", None, ESCAPE),
    "a percent sign": ("u:hidden%s3cret@db:1/0", "db:1", PERCENT),
    "a percent sign at its end": ("u:hidden%@db:1/0", "db:1", PERCENT),
    "an escape that is not UTF-8": ("u:hidden%e9s3cret@db:1/0", "db:1", PERCENT),
    "a bracket": ("u:hidden[s3cret@db:1/0", "db:1", "write [ as %5B"),
    "an escaped one before a port of letters": ("u:hidden%40s3cret@db:hidden/0", "db", PORT),
    "a port of 0": ("u:hidden@db:0/0", "db:0", PORT),
    "a port out of range": ("u:hidden@db:99999/0", "db:99999", PORT),
    "IPv6 without brackets": ("u:hidden@2001:db8::5:6379/0", None, BRACKETS),
    "IPv6 with one bracket": ("u:hidden@[2001:db8::5/0", None, "brackets belong around"),
}
FOR_POSTGRES = "postgresql://user:password@host:5432/database"
FOR_REDIS = "redis://user:password@host:6379/0"


def with_scheme(scheme: str) -> dict[str, Case]:
    return {
        name: (f"{scheme}://{rest}", host, expected)
        for name, (rest, host, expected) in PASSWORDS.items()
    }


POSTGRES_CASES: dict[str, Case] = {
    **with_scheme("postgresql"),
    "Redis' address": ("redis://u:hidden@cache:6379/0", "cache:6379", FOR_POSTGRES),
    "another database's": ("mysql://u:hidden@db:3306/x", "db:3306", FOR_POSTGRES),
    "no scheme": ("u:hidden@db:5432/x", None, FOR_POSTGRES),
    "nothing but a scheme": ("postgresql://", None, "names no host"),
    "a user alone": ("postgresql://u:hidden@", None, "?host=/var/run/postgresql"),
    "no host but a port": ("postgresql://u:hidden@:5432/x", None, "names no host"),
    "an unknown parameter": ("postgresql://u:hidden@db/x?sslmod=s3cret", "db", "sslmode"),
    "a parameter of the driver": (
        "postgresql://u:hidden@db/x?autocommit=1",
        "db",
        "libpq does not know",
    ),
    "an unknown sslmode": ("postgresql://u:hidden@db/x?sslmode=s3cret", "db", "verify-full"),
    "an unknown kind of server": (
        "postgresql://u:hidden@a:1,b:2/x?target_session_attrs=s3cret",
        "a:1,b:2",
        "read-write",
    ),
    "the password behind": ("postgresql://u@db/x?password=s3cret", "db", "before the host"),
    "a port of several": ("postgresql://u:hidden@a:1,b:x/x", None, "the port of b"),
}
REDIS_CASES: dict[str, Case] = {
    **with_scheme("redis"),
    **{f"TLS: {name}": case for name, case in with_scheme("rediss").items()},
    "PostgreSQL's address": ("postgresql://u:hidden@db:5432/x", "db:5432", FOR_REDIS),
    "a page's": ("http://u:hidden@cache:6379/0", "cache:6379", FOR_REDIS),
    "no scheme": ("cache:6379", None, FOR_REDIS),
    "no host": ("redis://u:hidden@", None, FOR_REDIS),
    "no host but a port": ("redis://u:hidden@:6379/0", None, FOR_REDIS),
    "a socket": ("unix:///run/redis.sock", None, FOR_REDIS),
    "a name for a number": ("redis://u:hidden@cache/s3cret", "cache", "the number of a database"),
    "an unknown option": ("rediss://u:hidden@cache?ssl_ca_cert=s3cret", "cache", "ssl_ca_certs"),
    "TLS options without TLS": ("redis://u:hidden@cache?ssl_ca_certs=x", "cache", "rediss://"),
    "a server that is not verified": (
        "rediss://u:hidden@cache?ssl_cert_reqs=none",
        "cache",
        "required",
    ),
    "an empty file name": ("rediss://u:hidden@cache?ssl_ca_certs=", "cache", "the path of a file"),
    **{
        f"Sentinel: {name}": (f"redis+sentinel://{rest}", host, expected)
        for name, (rest, host, expected) in {
            "an at sign": ("u:hidden@s3cret@s1:1/m/0", None, ESCAPE),
            "a percent sign": ("u:hidden%s3cret@s1:1,s2:2/m/0", "s1:1,s2:2", PERCENT),
            "a port out of range": ("u:hidden@s1:99999/m/0", "s1:99999", "each with its port"),
            "no host": ("u:hidden@/m/0", None, "each with its port"),
            "no name": ("u:hidden@s1:1", "s1:1", "the primary's name"),
            "the same twice": ("u:hidden@s1:1,s1:1/m", "s1:1,s1:1", "each sentinel once"),
            "an unknown option": (
                "u:hidden@s1:1/m?sentinel_pasword=s3cret",
                "s1:1",
                "sentinel_password",
            ),
            "a user alone": ("u:hidden@s1:1/m?sentinel_user=x", "s1:1", "needs sentinel_password"),
        }.items()
    },
}
PAGE = "https://ops.example.com/slipway"
CONSOLE_CASES: dict[str, Case] = {
    "no scheme": ("ops.example.com", None, PAGE),
    "Redis' address": ("redis://u:hidden@cache:6379/0", "cache:6379", PAGE),
    "no host": ("https://", None, PAGE),
    "a password": ("https://u:hidden@ops.example.com", "ops.example.com", "a path belong into"),
    "a port out of range": ("https://ops.example.com:99999", "ops.example.com:99999", PORT),
    "a port of letters": ("https://ops.example.com:x", None, PORT),
    "a space": ("https://ops.example.com/a b", "ops.example.com", SPACE),
    "a query": ("https://ops.example.com/?x=s3cret", "ops.example.com", "a path belong into"),
    "IPv6 without brackets": ("https://2001:db8::5/", None, BRACKETS),
}
ISSUER = "https address, as the provider's `issuer` says"
ISSUER_CASES: dict[str, Case] = {
    "no scheme": ("login.example.com", None, ISSUER),
    "no TLS": ("http://login.example.com", "login.example.com", ISSUER),
    "no host": ("https://", None, ISSUER),
    "a password": ("https://u:hidden@login.example.com", "login.example.com", "no user and"),
    "a port out of range": ("https://login.example.com:0", "login.example.com:0", PORT),
    "a space": ("https://login.example.com/a b", "login.example.com", SPACE),
    "a query": ("https://login.example.com?x=s3cret", "login.example.com", ISSUER),
    "IPv6 without brackets": ("https://2001:db8::5/", None, BRACKETS),
}
PROXY = "http://user:password@proxy.example.com:3128"
PROXY_CASES: dict[str, Case] = {
    **with_scheme("http"),
    "SOCKS": ("socks5://u:hidden@proxy:1080", "proxy:1080", PROXY),
    "Redis' address": ("redis://u:hidden@cache:6379", "cache:6379", PROXY),
    "no scheme": ("proxy:3128", None, PROXY),
    "no host": ("http://u:hidden@:3128", None, PROXY),
    "no port": ("http://u:hidden@proxy", "proxy", "names no port"),
    "a path": ("http://u:hidden@proxy:3128/s3cret", "proxy:3128", "must end with the port"),
}
NETWORK = "10.0.0.0/8"
NETWORK_CASES: dict[str, Case] = {
    "a bit too many": ("10.0.0.0/33", "10.0.0.0/33", NETWORK),
    "bits of a host": ("10.1.2.3/8", "10.1.2.3/8", "write 10.0.0.0/8"),
    "a name": ("cluster.internal", "entry 1", NETWORK),
    "a range": ("10.0.0.0-10.0.0.9", "entry 1", NETWORK),
    "a URL": ("10.0.0.0/8,redis://u:hidden@s3cret:6379", "entry 2", NETWORK),
    "IPv6 with a bit too many": ("fd00::/129", "fd00::/129", NETWORK),
}
DIRECT_CASES: dict[str, Case] = {
    "a scheme": ("http://acme.example.com", "acme.example.com", "without scheme and port"),
    "a port": ("acme.example.com:443", "acme.example.com", "without scheme and port"),
    "a password": ("acme,u:hidden@acme.example.com", "entry 2", "without scheme and port"),
    "a space": ("acme example", "acme example", "without scheme and port"),
    "a path": ("acme.example.com/x", "acme.example.com", "without scheme and port"),
}
CONTACT_CASES: dict[str, Case] = {
    "a space": ("operations team", None, "ops@example.com"),
    "parentheses": ("ops@example.com(day)", None, "without spaces and parentheses"),
    "a line break": ("ops@example.com\nX-Key: s3cret", None, "ops@example.com"),
    "too long": ("o" * 201, None, "ops@example.com"),
    "a password": ("https://u:hidden@ops.example.com", None, "every partner sees it"),
}
LISTEN = "without brackets, port and scheme"
BIND_CASES: dict[str, Case] = {
    "a scheme": ("http://0.0.0.0", None, LISTEN),
    "a port": ("0.0.0.0:8000", None, LISTEN),
    "brackets": ("[::]", None, LISTEN),
    "half an address": ("10.0.0", None, LISTEN),
    "a network": ("10.0.0.0/8", None, LISTEN),
    "Redis' address": ("redis://u:hidden@cache:6379", None, LISTEN),
}
SETTINGS: dict[str, dict[str, Case]] = {
    **dict.fromkeys(DATABASE, POSTGRES_CASES),
    **dict.fromkeys(REDIS, REDIS_CASES),
    **dict.fromkeys(NETWORKS, NETWORK_CASES),
    "SLIPWAY_CONSOLE_URL": CONSOLE_CASES,
    "SLIPWAY_CONSOLE_OIDC_ISSUER": ISSUER_CASES,
    "SLIPWAY_PARTNER_PROXY": PROXY_CASES,
    "SLIPWAY_PARTNER_NO_PROXY": DIRECT_CASES,
    "SLIPWAY_PARTNER_CONTACT": CONTACT_CASES,
    "SLIPWAY_BIND_ADDRESS": BIND_CASES,
}

CASES = {
    f"{setting}: {name}": (setting, *case)
    for setting, cases in SETTINGS.items()
    for name, case in cases.items()
}


@pytest.fixture
def slipway(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """A terminal whose settings are all valid; no server listens there."""
    line = CommandLine(monkeypatch, capsys)
    line.export(
        database_url="postgresql://slipway@127.0.0.1:1/slipway",
        redis_url="redis://127.0.0.1:1/0",
        secret_key=KEY,
        console_url="https://ops.example.com",
        console_oidc_client_id="slipway",
        console_oidc_client_secret="s3cret",
    )
    return line


def test_every_setting_is_wrong_in_five_ways_or_more() -> None:
    assert {setting: len(cases) for setting, cases in SETTINGS.items() if len(cases) < 5} == {}


@pytest.mark.parametrize(("setting", "wrong", "host", "expected"), CASES.values(), ids=CASES)
def test_no_process_starts_and_what_is_wrong_is_named_without_a_password(
    slipway: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    wrong: str,
    host: str | None,
    expected: str,
) -> None:
    monkeypatch.setenv(setting, wrong)
    read_settings.cache_clear()

    with pytest.raises(InvalidSettings) as refusal:
        read_settings()

    (problem,) = refusal.value.problems
    assert problem.startswith(f"{setting}: ")
    assert expected in problem
    assert host is None or host in problem
    whole = "".join(traceback.format_exception(refusal.value))
    assert [part for part in PARTS if part in whole] == []


@pytest.mark.parametrize("setting", SETTINGS)
def test_commands_and_doctor_say_the_same(
    slipway: CommandLine, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    for wrong, _, expected in SETTINGS[setting].values():
        monkeypatch.setenv(setting, wrong)

        doctor = slipway("doctor", "--json")
        command = slipway("operators", "list")

        (finding, *_) = doctor.document()["findings"]
        assert (doctor.code, finding["part"], finding["state"]) == (1, "settings", "wrong")
        assert finding["detail"].startswith(f"{setting}: ")
        assert expected in finding["detail"]
        assert (command.code, command.out) == (2, "")
        assert setting in command.err
        shown = doctor.out + doctor.err + command.err
        assert [part for part in PARTS if part in shown] == []


PAGES: dict[str, Callable[[], object]] = {"gateway": build_gateway, "console": build_console}


@pytest.mark.parametrize("build", PAGES.values(), ids=PAGES)
def test_gateway_and_console_say_it_without_a_traceback(
    slipway: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    build: Callable[[], object],
) -> None:
    monkeypatch.setenv("SLIPWAY_REDIS_URL", "postgresql://u:hidden@db:5432/s3cret")
    read_settings.cache_clear()
    read_console_settings.cache_clear()

    with pytest.raises(SystemExit) as end:
        build()

    written = capsys.readouterr().err
    assert end.value.code == 2
    assert written.startswith("slipway: These settings cannot be used:\n  SLIPWAY_REDIS_URL: ")
    assert FOR_REDIS in written
    assert [part for part in PARTS if part in written] == []
