"""Each address setting leads to a server that is not the right one: what doctor and commands say.

They name setting, host and port, and what was expected; and never a password, whatever its form.
"""

import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from redis.exceptions import RedisError
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from models.database.connection_failures import describe_failures, remedy_for
from models.database.engine import open_engine, require_usable_database
from models.settings.addresses import database_address
from models.settings.redis_address import redis_host, sentinel_address
from models.settings.settings import Settings
from tests.support.certificates import identity
from tests.support.command_line import CommandLine
from tests.support.delivery_setup import KEY
from tests.support.plain_settings import plain_settings
from tests.support.raw_server import HEARD_MAX, OK, Line, raw_server, say
from tests.support.scripted_redis import scripted_redis
from worker.doctor.database import unreachable as database_unreachable
from worker.doctor.finding import Finding, State
from worker.doctor.pooler import check_migration_address
from worker.doctor.redis_server import unreachable as redis_unreachable
from worker.doctor.sentinels import check_sentinels
from worker.doctor.sign_in import check_sign_in
from worker.local.servers import Servers
from worker.process.redis_client import READ_TIMEOUT, check_redis_at_start, open_redis
from worker.process.redis_errors import redis_problem

ESCAPED = "hid%40den%2Fs3cret"
FORMS = ("hid%40den", "hid@den", "den/s3", "s3cret", "den%2F")  # none may be shown
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"


def speak_http(line: Line) -> None:
    """Answer whatever comes first as an HTTP server does."""
    line.connection.recv(1000)
    line.send(BAD_REQUEST)


def close_at_once(line: Line) -> None:
    """Close at the first byte, as balancers without a backend do."""
    line.connection.recv(1000)


@pytest.fixture(scope="module")
def places(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Where something else than the right server is, by what it is."""
    folder = tmp_path_factory.mktemp("tls")
    with ExitStack() as running:

        def port(converse: Callable[[Line], None], *, tls: bool = False) -> str:
            context = identity(folder) if tls else None
            return f"127.0.0.1:{running.enter_context(raw_server(converse, tls=context)).port}"

        yield {
            "a closed port": "127.0.0.1:1",
            "an unknown name": "no-such-host.invalid:7777",
            "HTTP": port(speak_http),
            "TLS": port(say(OK), tls=True),
            "a balancer without a backend": port(close_at_once),
            "PostgreSQL": f"127.0.0.1:{make_url(servers.database_url).port}",
            "Redis": f"127.0.0.1:{make_url(servers.redis_url).port}",
        }


def shown(*texts: str) -> list[str]:
    """The forms of the password that are in the texts."""
    return [form for form in FORMS if any(form in text for text in texts)]


# --- PostgreSQL ---

AT_POSTGRES = {  # what doctor and commands say; of a server that is away each says its own
    "a closed port": "Connection refused",
    "an unknown name": "or the DNS of this machine",
    "HTTP": "another service listens there",
    "TLS": "another service listens there",
    "a balancer without a backend": "another service listens there",
    "PostgreSQL": "password authentication failed",
}


@pytest.fixture
def slipway(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> CommandLine:
    """A terminal that logs everything there is to log."""
    caplog.set_level(logging.DEBUG)
    line = CommandLine(monkeypatch, capsys)
    line.export(
        database_url="postgresql://127.0.0.1:1/x",
        redis_url="redis://127.0.0.1:1/0",
        secret_key=KEY,
        log_level="debug",
    )
    return line


@pytest.mark.parametrize("place", AT_POSTGRES)
def test_a_database_url_that_leads_elsewhere(
    slipway: CommandLine, caplog: pytest.LogCaptureFixture, places: dict[str, str], place: str
) -> None:
    url = f"postgresql://slipway:{ESCAPED}@{places[place]}/slipway"
    slipway.export(database_url=url)

    command = slipway("operators", "list")
    migrate = slipway("migrate")
    with pytest.raises(OperationalError) as failure:
        open_engine(url, application_name="tests", pool_size=1).connect()
    finding = database_unreachable(failure.value, url=database_address(url))

    assert (command.code, migrate.code) == (2, 2)
    for text in (command.err, migrate.err, f"{finding.detail}; {finding.remedy}"):
        assert f"cannot be reached: {places[place]}: " in text
        assert AT_POSTGRES[place] in text
    assert "the database (SLIPWAY_DATABASE_URL)" in command.err
    assert "the database (SLIPWAY_DATABASE_URL)" in migrate.err
    assert "SLIPWAY_DATABASE_URL" in str(finding.remedy)
    whole = "".join(traceback.format_exception(failure.value))
    assert shown(command.err, migrate.err, str(finding), whole, caplog.text) == []


@pytest.mark.parametrize("place", AT_POSTGRES)
def test_a_migration_url_that_leads_elsewhere(
    slipway: CommandLine, places: dict[str, str], place: str
) -> None:
    url = f"postgresql://slipway:{ESCAPED}@{places[place]}/slipway"
    slipway.export(migration_database_url=url)

    migrate = slipway("migrate")
    settings = plain_settings(migration_database_url=url)
    (finding,) = check_migration_address(settings, pooled=False, place=())

    assert migrate.code == 2
    for text in (migrate.err, f"{finding.detail}; {finding.remedy}"):
        assert f"{places[place]}: " in text
        assert AT_POSTGRES[place] in text
    assert "the database (SLIPWAY_MIGRATION_DATABASE_URL)" in migrate.err
    assert "SLIPWAY_MIGRATION_DATABASE_URL" in str(finding.remedy)
    assert shown(migrate.err, str(finding)) == []


@pytest.mark.parametrize("place", AT_POSTGRES)
def test_a_process_that_waits_for_its_database_logs_where_it_looks(
    caplog: pytest.LogCaptureFixture, places: dict[str, str], place: str
) -> None:
    url = f"postgresql://slipway:{ESCAPED}@{places[place]}/slipway"

    require_usable_database(url, application_name="tests")

    (line,) = caplog.records
    assert (line.message, line.__dict__["setting"]) == (
        "database_not_checked",
        "SLIPWAY_DATABASE_URL",
    )
    error = line.__dict__["error"]
    assert f"{places[place]}: " in error
    assert AT_POSTGRES[place] in error
    assert shown(error, str(line.__dict__)) == []


def test_a_database_that_says_nothing_is_given_up() -> None:
    with raw_server(lambda line: line.keep_silent()) as silent:
        address = f"postgresql://slipway:{ESCAPED}@127.0.0.1:{silent.port}/slipway"
        with pytest.raises(psycopg.OperationalError) as failure:
            psycopg.connect(address, connect_timeout=2)  # the least that libpq waits

    problem = describe_failures(failure.value, database_address(address))

    assert problem.startswith(f"127.0.0.1:{silent.port}: ")
    assert "through the firewall" in str(remedy_for(failure.value))
    assert shown(problem) == []


# --- Redis ---

AT_REDIS = {
    "a closed port": "a running server that listens there",
    "an unknown name": "a host name that the DNS of this machine knows",
    "HTTP": "another service listens there",
    "TLS": "another service listens there",
    "a balancer without a backend": "another service listens there",
    "PostgreSQL": "another service listens there",
    "Redis": "user and password of that server",
}
AT_REDIS_OVER_TLS = {
    "a closed port": "a running server that listens there",
    "HTTP": "does not speak TLS on this port; expected: its TLS port",
    "TLS": "expected: a certificate for this host",
    "PostgreSQL": "does not speak TLS on this port",
    "Redis": "rediss:// on a plain port, too",
}
QUICKLY = timedelta(milliseconds=500)


def met_by(url: str, *, wait: timedelta = READ_TIMEOUT) -> RedisError:
    """Return what a client of ours meets at *url*."""
    client = open_redis(url, retries=0, name="tests", wait=wait)
    with client, pytest.raises(RedisError) as failure:
        client.ping()
    return failure.value


@pytest.mark.parametrize("variable", ["SLIPWAY_REDIS_URL", "SLIPWAY_BROKER_URL"])
@pytest.mark.parametrize("place", AT_REDIS)
def test_a_redis_url_that_leads_elsewhere(
    places: dict[str, str], caplog: pytest.LogCaptureFixture, place: str, variable: str
) -> None:
    caplog.set_level(logging.DEBUG)
    url = f"redis://slipway:{ESCAPED}@{places[place]}/0"

    error = met_by(url)
    finding = redis_unreachable("Redis", variable, error, url)

    assert places[place] in finding.detail
    assert AT_REDIS[place] in finding.detail
    assert variable in str(finding.remedy)
    whole = "".join(traceback.format_exception(error))
    assert shown(str(finding), whole, caplog.text) == []


@pytest.mark.parametrize("place", AT_REDIS)
def test_a_process_that_waits_for_redis_logs_where_it_looks(
    places: dict[str, str], caplog: pytest.LogCaptureFixture, place: str
) -> None:
    stream = f"redis://slipway:{ESCAPED}@{places[place]}/0"
    settings = plain_settings(redis_url=stream, broker_url=f"redis://:{ESCAPED}@127.0.0.1:1/0")

    check_redis_at_start(settings, name="tests")

    broker, of_stream = (line.__dict__["error"] for line in caplog.records)
    assert broker.startswith("SLIPWAY_BROKER_URL: ")
    assert "127.0.0.1:1" in broker
    assert of_stream.startswith("SLIPWAY_REDIS_URL: ")
    assert places[place] in of_stream
    assert AT_REDIS[place] in of_stream
    assert shown(*(str(line.__dict__) for line in caplog.records)) == []


@pytest.mark.parametrize("place", AT_REDIS_OVER_TLS)
def test_a_redis_url_with_tls_that_leads_elsewhere(
    places: dict[str, str], caplog: pytest.LogCaptureFixture, place: str
) -> None:
    caplog.set_level(logging.DEBUG)
    url = f"rediss://slipway:{ESCAPED}@{places[place]}/0"

    error = met_by(url, wait=QUICKLY if place == "Redis" else READ_TIMEOUT)
    finding = redis_unreachable("Redis", "SLIPWAY_REDIS_URL", error, url)

    assert places[place] in finding.detail
    assert AT_REDIS_OVER_TLS[place] in finding.detail
    assert "SLIPWAY_REDIS_URL" in str(finding.remedy)
    assert shown(str(finding), *traceback.format_exception(error), caplog.text) == []


@pytest.mark.parametrize("place", ["a closed port", "HTTP", "PostgreSQL", "Redis"])
def test_sentinels_that_are_something_else(places: dict[str, str], place: str) -> None:
    url = f"redis+sentinel://slipway:{ESCAPED}@{places[place]}/mymaster/0"
    address = sentinel_address(url)
    assert address is not None

    (finding,) = check_sentinels(address, part="Redis", variable="SLIPWAY_REDIS_URL")
    problem = redis_problem(met_by(url), url)

    assert finding.state is State.WRONG
    assert places[place] in finding.detail
    assert places[place] in problem
    assert "SLIPWAY_REDIS_URL" in str(finding.remedy)
    assert shown(str(finding), problem) == []


def test_a_redis_that_says_nothing_is_given_up() -> None:
    with raw_server(lambda line: line.keep_silent()) as silent:
        url = f"redis://slipway:{ESCAPED}@127.0.0.1:{silent.port}/0"
        problem = redis_problem(met_by(url, wait=QUICKLY), url)

    assert problem.startswith(f"127.0.0.1:{silent.port}: ")
    assert "a firewall drops packets" in problem


@pytest.mark.parametrize(
    ("reply", "remedy"),
    [
        ("-ERR max number of clients reached", "maxclients"),
        ("-DENIED Redis is running in protected mode because", "protected mode"),
        ("-LOADING Redis is loading the dataset in memory", "wait for it"),
        ("-NOPERM this user has no permissions", "the rights of a worker"),
    ],
)
def test_a_refusal_of_redis_itself_is_told_from_an_outage(reply: str, remedy: str) -> None:
    with scripted_redis({"PING": f"{reply}\r\n".encode()}) as url:
        finding = redis_unreachable("Redis", "SLIPWAY_REDIS_URL", met_by(url), url)

        assert redis_host(url) in finding.detail
        assert remedy in finding.detail + str(finding.remedy)
        assert "start Redis" not in str(finding.remedy) or "LOADING" in reply


def test_the_number_of_a_database_that_does_not_exist(servers: Servers) -> None:
    url = servers.redis_url.rsplit("/", 1)[0] + "/99"

    finding = redis_unreachable("Redis", "SLIPWAY_REDIS_URL", met_by(url), url)

    assert redis_host(url) in finding.detail
    assert "correct the number at the end of SLIPWAY_REDIS_URL" in str(finding.remedy)


# --- the provider that people sign in with ---

AT_PROVIDER = {
    "a closed port": "Failed to connect",
    "an unknown name": "Could not resolve host",
    "HTTP": "cannot be reached",
    "TLS": "SLIPWAY_CONSOLE_OIDC_CA_FILE",
    "PostgreSQL": "cannot be reached",
}


def signing_in(issuer: str, **settings: object) -> Settings:
    """Settings with a provider at *issuer*."""
    given: dict[str, object] = {
        "console_url": "https://ops.example.com",
        "console_oidc_issuer": issuer,
        "console_oidc_client_id": "slipway",
        "console_oidc_networks": "127.0.0.0/8",
        "console_oidc_client_secret": "s3cret",
    }
    return plain_settings(**{**given, **settings})


def of_sign_in(settings: Settings) -> Finding:
    """Return what doctor finds; never the client's secret."""
    (finding,) = check_sign_in(settings)
    assert shown(str(finding)) == []
    return finding


@pytest.mark.parametrize("place", AT_PROVIDER)
def test_an_issuer_that_leads_elsewhere(places: dict[str, str], place: str) -> None:
    finding = of_sign_in(signing_in(f"https://{places[place]}/realms/ops"))

    assert finding.state is State.DOUBTFUL
    assert places[place] in finding.detail
    assert AT_PROVIDER[place] in finding.detail
    assert "SLIPWAY_CONSOLE_OIDC_ISSUER" in str(finding.remedy)


@pytest.mark.parametrize(
    ("says", "detail"),
    [
        ('{"issuer": "https://login.example.com/"}', "calls itself 'https://login.example.com/'"),
        ('{"realm": "ops"}', "calls itself by no name"),
        ("<html>", "something else than a JSON object"),
    ],
    ids=["another name", "no name", "a page"],
)
def test_a_provider_that_is_another_one(tmp_path: Path, says: str, detail: str) -> None:
    def answer(line: Line) -> None:
        line.connection.recv(HEARD_MAX)
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(says)}\r\n\r\n"
        line.send(f"{head}{says}".encode())

    with raw_server(answer, tls=identity(tmp_path)) as server:
        issuer = f"https://127.0.0.1:{server.port}/realms/ops"
        finding = of_sign_in(signing_in(issuer, console_oidc_ca_file=tmp_path / "partner.pem"))

    assert finding.state is State.WRONG
    assert detail in finding.detail
    assert f"127.0.0.1:{server.port}" in finding.detail
    assert "SLIPWAY_CONSOLE_OIDC_ISSUER" in str(finding.remedy)


def test_a_provider_in_a_private_network_that_no_setting_names(places: dict[str, str]) -> None:
    finding = of_sign_in(signing_in(f"https://{places['TLS']}", console_oidc_networks=""))

    assert "add its network to SLIPWAY_CONSOLE_OIDC_NETWORKS" in finding.detail


def test_without_a_provider_there_is_nothing_to_check() -> None:
    assert [*check_sign_in(plain_settings())] == []
