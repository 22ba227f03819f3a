"""The settings: read once, checked against each other, explained clearly, and never shown."""

import os
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import ValidationError

from models.settings.errors import InvalidSettings
from models.settings.purposes import purpose
from models.settings.settings import Settings, read_console_settings, read_settings
from models.settings.table import PAGE, refreshed, settings_table
from models.settings.types import ROLE_NAMES
from models.users import Role

KEY, OLD_KEY = (urlsafe_b64encode(letter * 32).decode() for letter in (b"n", b"o"))

Read = Callable[..., Settings]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Read:
    """Read the settings from the three required variables and those the test gives."""

    def from_environment(**variables: str | None) -> Settings:
        for name in [name for name in os.environ if name.startswith("SLIPWAY_")]:
            monkeypatch.delenv(name)
        required = {
            "SLIPWAY_DATABASE_URL": "postgresql://slipway:hidden@db:5432/slipway",
            "SLIPWAY_REDIS_URL": "redis://:hidden@cache:6379/0",
            "SLIPWAY_SECRET_KEY": KEY,
        }
        for name, value in (required | variables).items():
            if value is not None:
                monkeypatch.setenv(name, value)
        read_settings.cache_clear()
        try:
            return read_settings()
        finally:
            read_settings.cache_clear()

    return from_environment


def test_three_variables_are_enough(read: Read) -> None:
    settings = read()

    assert settings.database_url == "postgresql+psycopg://slipway:hidden@db:5432/slipway"
    assert settings.broker_url == settings.redis_url == "redis://:hidden@cache:6379/0"
    assert [key.get_secret_value() for key in settings.secret_key] == [KEY]
    assert settings.partner_networks == ()
    assert settings.waitaof is None


def test_the_defaults_are_those_of_the_page(read: Read) -> None:
    """The defaults that models/SETTINGS.md promises."""
    settings = read()

    assert (settings.gateway_port, settings.flower_port, settings.metrics_port) == (8000, 5555, 0)
    assert settings.console_port == 8080
    assert settings.sweep_interval == timedelta(seconds=1)
    assert settings.parking_window == timedelta(minutes=15)
    assert settings.retention == timedelta(days=90)
    assert settings.retry_limit == timedelta(hours=48)
    assert settings.retry_schedule == (
        timedelta(seconds=10),
        timedelta(seconds=30),
        timedelta(minutes=2),
        timedelta(minutes=10),
        timedelta(minutes=30),
        timedelta(hours=1),
        timedelta(hours=2),
    )
    assert settings.lease == timedelta(seconds=25)
    assert settings.call_needs == timedelta(seconds=15)


def test_what_is_set_is_read(read: Read) -> None:
    settings = read(
        SLIPWAY_BROKER_URL="redis://queues:6379/1",
        SLIPWAY_SECRET_KEY=f"{KEY}, {OLD_KEY}",
        SLIPWAY_PARTNER_NETWORKS="127.0.0.0/8, fd00::/8",
        SLIPWAY_RETRY_SCHEDULE="200ms,1s",
        SLIPWAY_WAITAOF="50",
        SLIPWAY_LOG_LEVEL="DEBUG",
        SLIPWAY_PARKING_WINDOW="1h30m",
    )

    assert settings.broker_url == "redis://queues:6379/1"
    assert [key.get_secret_value() for key in settings.secret_key] == [KEY, OLD_KEY]
    assert settings.partner_networks == (ip_network("127.0.0.0/8"), ip_network("fd00::/8"))
    assert settings.retry_schedule == (timedelta(milliseconds=200), timedelta(seconds=1))
    assert settings.waitaof == 50
    assert settings.log_level == "debug"
    assert settings.parking_window == timedelta(minutes=90)


def test_an_empty_variable_counts_as_not_set(read: Read) -> None:
    settings = read(SLIPWAY_BROKER_URL="", SLIPWAY_PARTNER_NETWORKS="", SLIPWAY_WAITAOF="")

    assert settings.broker_url == settings.redis_url
    assert settings.partner_networks == ()
    assert read(SLIPWAY_WAITAOF="off").waitaof is None


def test_the_environment_is_read_once(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    read()
    first = read_settings()
    monkeypatch.setenv("SLIPWAY_CHUNK_SIZE", "7")

    second = read_settings()
    read_settings.cache_clear()

    assert second is first


def test_settings_cannot_be_changed(read: Read) -> None:
    settings = read()

    with pytest.raises(ValidationError, match="frozen"):
        settings.chunk_size = 7


def test_nothing_secret_is_shown(read: Read) -> None:
    shown = repr(read()) + str(read())

    assert KEY not in shown
    assert "hidden" not in shown


def test_a_missing_variable_is_named_with_what_it_is(read: Read) -> None:
    with pytest.raises(InvalidSettings) as refusal:
        read(SLIPWAY_DATABASE_URL=None, SLIPWAY_REDIS_URL=None)

    database, redis = refusal.value.problems
    assert re.match(r"SLIPWAY_DATABASE_URL is not set\. .*postgresql://", database)
    assert re.match(r"SLIPWAY_REDIS_URL is not set\. .*redis://", redis)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("SLIPWAY_PARKING_WINDOWS", "SLIPWAY_PARKING_WINDOW"),
        ("SLIPWAY_DATABASE", "SLIPWAY_DATABASE_URL"),
        ("slipway_partner_time_out", "SLIPWAY_PARTNER_TIMEOUT"),
    ],
)
def test_a_stranger_is_refused_with_the_nearest_setting(
    read: Read, name: str, nearest: str
) -> None:
    with pytest.raises(InvalidSettings) as refusal:
        read(**{name: "hidden"})

    assert refusal.value.problems == (f"{name} is not a setting; the nearest one is {nearest}",)


@pytest.mark.parametrize(
    "variable",
    [
        "SLIPWAY_GATEWAY_PORT",
        "SLIPWAY_GATEWAY_SERVICE_HOST",
        "SLIPWAY_GATEWAY_SERVICE_PORT_HTTP",
        "SLIPWAY_GATEWAY_PORT_8000_TCP_ADDR",
    ],
)
def test_a_service_link_of_kubernetes_is_recognised(read: Read, variable: str) -> None:
    with pytest.raises(InvalidSettings, match="enableServiceLinks: false"):
        read(**{variable: "tcp://10.0.0.1:8000"})


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("SLIPWAY_DATABASE_URL", "mysql://u:hidden@db/x", "not a PostgreSQL URL"),
        ("SLIPWAY_REDIS_URL", "sentinel://:hidden@cache", "redis+sentinel://"),
        ("SLIPWAY_BROKER_URL", "amqp://u:hidden@queues", "not a Redis URL"),
        ("SLIPWAY_SECRET_KEY", "hidden", "key 1 of 1 is not a Fernet key"),
        ("SLIPWAY_SECRET_KEY", f"{KEY},hidden", "key 2 of 2 is not a Fernet key"),
        ("SLIPWAY_SECRET_KEY", ",", "Fernet.generate_key"),
        ("SLIPWAY_PARKING_WINDOW", "15", "500ms, 10s, 15m"),
        ("SLIPWAY_PARKING_WINDOW", "0s", "longer than 0"),
        ("SLIPWAY_RETRY_SCHEDULE", "10s,soon", "not a duration"),
        ("SLIPWAY_RETRY_SCHEDULE", "10s,5s", "at least as long as the one before"),
        ("SLIPWAY_RETRY_SCHEDULE", ",", "at least one delay"),
        ("SLIPWAY_PARTNER_NETWORKS", "127.0.0.1/8", "host bits set"),
        ("SLIPWAY_WAITAOF", "0", "greater than 0"),
        ("SLIPWAY_GATEWAY_PORT", "70000", "less than or equal to 65535"),
        ("SLIPWAY_INTAKE_BLOCK", "5s", "shorter than 5s"),
        ("SLIPWAY_CHUNK_SIZE", "many", "integer"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_and_not_shown(
    read: Read, variable: str, value: str, message: str
) -> None:
    with pytest.raises(InvalidSettings, match=re.escape(message)) as refusal:
        read(**{variable: value})

    (problem,) = refusal.value.problems
    assert problem.startswith(f"{variable}: ")
    assert "hidden" not in problem
    assert KEY not in problem
    assert refusal.value.__context__ is None  # a traceback would show what it holds


@pytest.mark.parametrize(
    ("variable", "value", "other"),
    [
        ("SLIPWAY_LEASE_MARGIN", "10s", "SLIPWAY_PARTNER_GRACE"),
        ("SLIPWAY_PARKING_WINDOW", "30d", "SLIPWAY_EVENT_AGE_MAX"),
        ("SLIPWAY_RETENTION", "30d", "SLIPWAY_EVENT_AGE_MAX"),
        ("SLIPWAY_RETRY_LIMIT", "90d", "SLIPWAY_RETENTION"),
        ("SLIPWAY_RETRY_SCHEDULE", "49h", "SLIPWAY_RETRY_LIMIT"),
        ("SLIPWAY_DISCARD_INTERVAL", "48h", "SLIPWAY_RETRY_LIMIT"),
        ("SLIPWAY_FLOWER_PORT", "8000", "SLIPWAY_GATEWAY_PORT"),
        ("SLIPWAY_CONSOLE_PORT", "5555", "SLIPWAY_FLOWER_PORT"),
    ],
)
def test_values_that_contradict_each_other_are_both_named(
    read: Read, variable: str, value: str, other: str
) -> None:
    with pytest.raises(InvalidSettings) as refusal:
        read(**{variable: value})

    (problem,) = refusal.value.problems
    assert variable in problem
    assert other in problem


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "0.0.0.0", "::", "::1", "localhost", "fe80::1%eth0"],  # noqa: S104 - not bound
)
def test_an_address_to_listen_on_is_one_of_either_family_or_a_name(
    read: Read, address: str
) -> None:
    assert read(SLIPWAY_BIND_ADDRESS=address).bind_address == address


@pytest.mark.parametrize(
    "wrong",
    ["[::]", "localhost:8000", "http://127.0.0.1", "127.0.0.0/8", "127.0.0.256", "a b", "*", ":::"],
)
def test_an_address_to_listen_on_that_is_none_is_refused(read: Read, wrong: str) -> None:
    with pytest.raises(InvalidSettings) as refusal:
        read(SLIPWAY_BIND_ADDRESS=wrong)

    (problem,) = refusal.value.problems
    assert problem.startswith("SLIPWAY_BIND_ADDRESS: must be an address of this machine")
    assert "0.0.0.0" in problem  # noqa: S104 - read, not bound


def test_all_that_is_wrong_is_reported_at_once(read: Read) -> None:
    with pytest.raises(InvalidSettings) as refusal:
        read(SLIPWAY_REDIS_URL=None, SLIPWAY_BATCH="1", SLIPWAY_RETENTION="soon")

    assert [problem.split()[0].rstrip(":") for problem in refusal.value.problems] == [
        "SLIPWAY_BATCH",
        "SLIPWAY_REDIS_URL",
        "SLIPWAY_RETENTION",
    ]


def test_every_setting_says_what_it_does() -> None:
    undescribed = [name for name in Settings.model_fields if not purpose(Settings, name)]

    assert undescribed == []
    assert all(f"`SLIPWAY_{name.upper()}`" in settings_table() for name in Settings.model_fields)


def test_the_page_of_settings_is_up_to_date() -> None:
    """Generate it with `python -m models.settings.table`."""
    page = PAGE.read_text(encoding="utf-8")

    assert refreshed(page) == page


def test_the_roles_of_a_mapping_are_those_of_users(read: Read) -> None:
    mapping = ",".join(f"group-{role}={role}" for role in Role)

    settings = read(SLIPWAY_CONSOLE_ROLES=mapping)

    assert settings.console_roles == tuple((f"group-{role}", role.value) for role in Role)
    assert tuple(Role) == ROLE_NAMES


@pytest.mark.parametrize(
    ("settings", "variable"),
    [
        ({"SLIPWAY_CONSOLE_ROLES": "ops=king"}, "SLIPWAY_CONSOLE_ROLES"),
        ({"SLIPWAY_CONSOLE_URL": "ops.example.com"}, "SLIPWAY_CONSOLE_URL"),
        *(
            ({"SLIPWAY_CONSOLE_TRACE_URL": template}, "SLIPWAY_CONSOLE_TRACE_URL")
            for template in (
                "https://tempo.example.com/trace/",
                "https://tempo.example.com/{trace_id}/{trace_id}",
                "https://tempo.example.com/{trace_id}?{other}",
                "https://{trace_id}.example.com/",
                "https://tempo.example.com{trace_id}",
                "javascript:alert(1)//{trace_id}",
                "tempo.example.com/{trace_id}",
                "https://u:hush@tempo.example.com/{trace_id}",
                "https://tempo.example.com/a b/{trace_id}",
            )
        ),
        ({"SLIPWAY_CONSOLE_URL": "https://ops.example.com/a b"}, "SLIPWAY_CONSOLE_URL"),
        ({"SLIPWAY_CONSOLE_URL": "https://u:p@ops.example.com"}, "SLIPWAY_CONSOLE_URL"),
        ({"SLIPWAY_CONSOLE_OIDC_ISSUER": "http://login.example"}, "SLIPWAY_CONSOLE_OIDC_ISSUER"),
        ({"SLIPWAY_CONSOLE_PROXY_USER_HEADER": "X-User"}, "SLIPWAY_CONSOLE_PROXY_NETWORKS"),
    ],
)
def test_a_way_to_sign_in_that_cannot_work_is_refused(
    read: Read, settings: dict[str, str], variable: str
) -> None:
    with pytest.raises(InvalidSettings) as refusal:
        read(**settings)

    assert any(problem.startswith(variable) for problem in refusal.value.problems)


def test_a_provider_needs_its_client_and_our_address(read: Read) -> None:
    with pytest.raises(InvalidSettings) as refusal:
        read(SLIPWAY_CONSOLE_OIDC_ISSUER="https://login.example.com")

    text = str(refusal.value)
    assert "SLIPWAY_CONSOLE_OIDC_CLIENT_ID is not set" in text
    assert "SLIPWAY_CONSOLE_URL is not set" in text


@pytest.mark.parametrize("name", ["SLIPWAY_DATABASE_URL", "SLIPWAY_MIGRATION_DATABASE_URL"])
@pytest.mark.parametrize(
    ("content", "parameter", "problem"),
    [
        (None, "sslrootcert", "cannot be read: No such file or directory"),
        (None, "sslkey", "cannot be read: No such file or directory"),
        (b"no PEM", "sslrootcert", "holds no certificate; expected: PEM"),
    ],
)
def test_a_file_of_the_database_url_that_cannot_be_used_is_named_with_its_host(
    read: Read, tmp_path: Path, name: str, content: bytes | None, parameter: str, problem: str
) -> None:
    file = tmp_path / "file.pem"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(InvalidSettings) as refusal:
        read(**{name: f"postgresql://slipway:hidden@a:1,b/name?{parameter}={file}"})

    (sentence,) = refusal.value.problems
    assert sentence.startswith(f"{name}: {parameter} for a:1,b:5432/name: {file}: {problem}")


def test_a_port_of_the_database_url_is_told_with_its_setting_and_host(read: Read) -> None:
    with pytest.raises(InvalidSettings) as refusal:
        read(SLIPWAY_DATABASE_URL="postgresql://slipway:hidden@a:1,b:none/name")

    (problem,) = refusal.value.problems
    assert problem.startswith(
        "SLIPWAY_DATABASE_URL: the port of b in the database URL is no number"
    )
    assert "hidden" not in problem


def test_only_the_console_needs_the_secret_at_the_provider(read: Read) -> None:
    read(
        SLIPWAY_CONSOLE_OIDC_ISSUER="https://login.example.com",
        SLIPWAY_CONSOLE_OIDC_CLIENT_ID="slipway",
        SLIPWAY_CONSOLE_URL="https://ops.example.com",
    )
    read_console_settings.cache_clear()

    with pytest.raises(InvalidSettings) as refusal:
        read_console_settings()

    (problem,) = refusal.value.problems
    secret = "SLIPWAY_CONSOLE_OIDC_CLIENT_SECRET"
    assert problem == f"set either {secret} or {secret}_FILE"
