"""`slipway doctor` and the stats look at what calls carry: keys, certificates, token endpoints."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from threading import Event

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import Engine

from models.access.values import Access, ClientCertificate, ClientCredentials, Header
from models.monitoring.stats import collect_stats
from models.operators import NewOperator, add_operator, change_operator
from models.operators.access import set_access
from models.operators.interventions import Person
from models.platform.clock import DatabaseClock
from models.platform.encryption import Vault
from models.settings.settings import Settings
from tests.support.client_certificates import make_pair
from tests.support.delivery_setup import delivery_settings
from tests.support.raw_server import Line
from tests.support.token_server import TokenServer, response, sending, token_server
from worker.delivery.http.limits import TransferLimits
from worker.doctor.access import check_accesses, read_accesses
from worker.doctor.finding import Finding, State
from worker.doctor.tokens import CheckedEndpoint, TokenCheck, check_endpoints

ANNA = Person("anna", "a test")
CANARY = "canary-7Qm2"
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
HERE, ELSEWHERE = delivery_settings(), delivery_settings(partner_networks=())


@pytest.fixture
def vault() -> Vault:
    return Vault.with_keys([SecretStr(Fernet.generate_key().decode())])


@pytest.fixture
def now(engine) -> datetime:
    with engine.begin() as connection:
        return DatabaseClock().now(connection).replace(microsecond=0)


def give(
    engine: Engine,
    vault: Vault,
    access: Access,
    *,
    now: datetime,
    code: str = "acme",
    switch_at: datetime | None = None,
) -> None:
    new = NewOperator(code=code, url=f"https://{code}.example/", protocol="pam", secret=f"s-{code}")
    with engine.begin() as connection:
        add_operator(connection, new, vault=vault, person=ANNA)
        set_access(connection, code, access, now=now, vault=vault, person=ANNA, switch_at=switch_at)


def findings(
    engine: Engine,
    vault: Vault,
    *,
    now: datetime,
    settings: Settings = ELSEWHERE,
    fetches: bool = True,
) -> list[Finding]:
    with engine.begin() as connection:
        accesses = read_accesses(connection, now=now)
    assert CANARY not in repr(accesses)
    tokens = TokenCheck(TransferLimits.of(settings), settings.partner_timeout, fetches)
    return [*check_accesses(accesses, vault=vault, now=now, tokens=tokens)]


def certified(now: datetime, *, lasting: timedelta) -> Access:
    pair = make_pair(now, lasting=lasting)
    return Access(certificate=ClientCertificate(pair.chain, pair.key))


def oauth(url: str) -> Access:
    return Access(oauth=ClientCredentials(url, "us", CANARY))


def test_without_an_access_nothing_is_said(engine, vault, now):
    assert findings(engine, vault, now=now) == []


def test_one_that_is_well_is_reported_with_the_switch_to_come(engine, vault, now):
    give(engine, vault, certified(now, lasting=90 * DAY), now=now)
    waiting = Access(headers=(Header("X-Api-Key", CANARY),))
    give(engine, vault, waiting, now=now, code="other", switch_at=now + HOUR)

    (finding,) = findings(engine, vault, now=now)

    assert (finding.part, finding.state) == ("access", State.OK)
    assert "expires within 30 days: 1; other switches at " in finding.detail


@pytest.mark.parametrize(
    ("later", "state", "verb"),
    [
        (timedelta(), State.DOUBTFUL, "expires"),
        (29 * DAY - timedelta(seconds=1), State.DOUBTFUL, "expires"),
        (29 * DAY, State.WRONG, "expired"),
    ],
)
def test_a_certificate_that_expires_is_named_in_time(engine, vault, now, later, state, verb):
    give(engine, vault, certified(now, lasting=29 * DAY), now=now)

    (finding,) = findings(engine, vault, now=now + later)

    assert (finding.part, finding.state) == ("access of acme", state)
    assert f"the client certificate of the access {verb} at " in finding.detail
    assert "slipway operators access acme" in str(finding.remedy)


def test_a_bundle_counts_as_well_and_so_does_what_waits(engine, vault, now):
    authorities = make_pair(now, lasting=40 * DAY).chain
    later = now + 20 * DAY
    give(engine, vault, Access(authorities=authorities), now=now, switch_at=later)

    (finding,) = findings(engine, vault, now=now)

    assert finding.state is State.DOUBTFUL
    assert "the CA bundle of the access used from " in finding.detail


def test_what_no_key_decrypts_is_wrong_whether_used_or_waiting(engine, vault, now):
    give(engine, vault, Access(bearer=CANARY), now=now)
    give(engine, vault, Access(bearer=CANARY), now=now, code="next", switch_at=now + HOUR)
    other = Vault.with_keys([SecretStr(Fernet.generate_key().decode())])

    undecryptable = findings(engine, other, now=now)

    assert [finding.part for finding in undecryptable] == ["access of acme", "access of next"]
    assert {finding.state for finding in undecryptable} == {State.WRONG}
    assert "nothing can be sent" in undecryptable[0].detail
    assert CANARY not in repr(undecryptable)


@pytest.mark.parametrize(
    ("url", "detail"),
    [
        ("https://127.0.0.1/token", "a private address outside SLIPWAY_PARTNER_NETWORKS"),
        ("https://login.invalid/token", "login.invalid has no address"),
    ],
)
def test_a_token_endpoint_that_may_not_be_called_is_wrong(engine, vault, now, url, detail):
    give(engine, vault, oauth(url), now=now)

    (finding,) = findings(engine, vault, now=now)

    assert finding.state is State.WRONG
    assert detail in finding.detail
    assert CANARY not in repr(finding)


@pytest.fixture
def server() -> Iterator[TokenServer]:
    with token_server() as running:
        yield running


def test_a_token_is_fetched_as_deliveries_do_it_and_none_is_shown(engine, vault, now, server):
    give(engine, vault, Access(oauth=server.credentials), now=now)
    give(
        engine, vault, Access(oauth=server.credentials), now=now, code="later", switch_at=now + HOUR
    )
    with engine.begin() as connection:
        change_operator(connection, "acme", {"user_agent": "Acme-Notifier/1"}, person=ANNA)

    tokens, summary = findings(engine, vault, now=now, settings=HERE)

    assert (tokens.part, tokens.state) == ("tokens", State.OK)
    assert tokens.detail == "fetched for 1 of 2 partners whose calls carry one"
    assert (summary.part, summary.state) == ("access", State.OK)
    (request,) = server.requests
    assert b"User-Agent: Acme-Notifier/1" in request
    assert "canary" not in repr([tokens, summary])
    assert server.notices == [], "the partner itself is not called"


def test_the_console_fetches_none(engine, vault, now, server):
    give(engine, vault, Access(oauth=server.credentials), now=now)

    (summary,) = findings(engine, vault, now=now, settings=HERE, fetches=False)

    assert summary.state is State.OK
    assert server.requests == []


@pytest.mark.parametrize(
    ("odd", "detail"),
    [
        (
            sending(response(401, {"error": "invalid_client"})),
            "answered 401 invalid_client: correct",
        ),
        (sending(response(302, "", "Location: https://elsewhere.example/")), "are not followed"),
        (sending(response(200, "<html>")), "with what is not a JSON object"),
        (Line.keep_silent, "gave no response: Operation timed out"),
    ],
    ids=["refuses", "redirects", "HTML", "hangs"],
)
def test_an_endpoint_without_a_token_is_wrong_and_says_why(engine, vault, now, server, odd, detail):
    server.odd = odd
    give(engine, vault, Access(oauth=server.credentials), now=now)

    settings = delivery_settings(partner_timeout=timedelta(milliseconds=300))
    (finding,) = findings(engine, vault, now=now, settings=settings)

    assert (finding.part, finding.state) == ("access of acme", State.WRONG)
    assert finding.detail.startswith("no token can be had: the token endpoint http://127.0.0.1:")
    assert detail in finding.detail
    assert "slipway operators access acme" in str(finding.remedy)
    assert "canary" not in repr(finding)


def test_a_client_s_secret_is_not_sent_in_clear_over_the_internet(engine, vault, now):
    give(engine, vault, oauth("http://8.8.8.8/token"), now=now)

    (finding,) = findings(engine, vault, now=now)

    assert (finding.part, finding.state) == ("access of acme", State.DOUBTFUL)
    assert "is http, not https" in finding.detail


def test_an_endpoint_that_takes_all_the_time_is_unknown(server):
    server.gate = Event()
    endpoint = CheckedEndpoint(
        "acme", "access of acme", "the access", Access(oauth=server.credentials)
    )
    check = TokenCheck(TransferLimits.of(HERE), timedelta(seconds=1))

    (finding,) = check_endpoints([endpoint], check, within=timedelta(milliseconds=200))

    assert (finding.part, finding.state) == ("access of acme", State.UNKNOWN)


def test_the_stats_know_when_the_access_in_force_expires(engine, vault, now):
    give(engine, vault, certified(now, lasting=10 * DAY), now=now)
    give(engine, vault, Access(bearer=CANARY), now=now, code="none")
    waiting = certified(now, lasting=50 * DAY)
    with engine.begin() as connection:
        set_access(
            connection, "acme", waiting, now=now, vault=vault, person=ANNA, switch_at=now + DAY
        )

        def expiries(at: datetime) -> dict[str, datetime | None]:
            stats = collect_stats(connection, now=at)
            return {each.code: each.access_expires_at for each in stats.operators}

        assert expiries(now) == {"acme": now + 10 * DAY, "none": None}
        assert expiries(now + DAY) == {"acme": now + 50 * DAY, "none": None}
