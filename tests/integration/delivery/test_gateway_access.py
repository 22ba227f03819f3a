"""A partner's API gateway that wants a header, a password or a token: nginx checks it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from models.access.values import NO_ACCESS, Access, Basic, ClientCertificate, Header
from models.outbox.causes import Cause, cause_of
from models.outbox.values import Attempt, Partner, RetryLater
from tests.support.authority import Authority
from tests.support.delivery_setup import SECRET, delivery_settings
from tests.support.http_clients import LONG
from tests.support.raw_server import OK, Line, raw_server, say
from tests.support.sample_notice import PARTNER, WIN
from tests.support.server_folders import passable_folder
from tests.support.tls_front_ends import nginx_for
from worker.delivery.http.exchange import HttpResponse
from worker.delivery.http.limits import TransferLimits
from worker.delivery.partners import Ready
from worker.delivery.ping import PingResult, ping
from worker.delivery.protocols import ADAPTERS

KEY = "api-key-0815-4711"
PASSWORD = "pass-wörd-4711"
TOKEN = "token-4711.abc~x"
BASIC = Access(basic=Basic("slipway", PASSWORD))
BEARER = Access(bearer=TOKEN)
HEADERS = Access(headers=(Header("X-Api-Key", KEY), Header("X-Tenant", "casino", secret=False)))
LIMITS = TransferLimits.of(delivery_settings())


def partner_at(url: str, *, user_agent: str | None = None) -> Partner:
    """A PAM partner behind *url*."""
    return replace(PARTNER, code="acme", url=url, user_agent=user_agent)


def ping_with(url: str, access: Access) -> PingResult:
    """Ping the partner with this access."""
    return ping(partner_at(url), secret=SECRET, access=access, limits=LIMITS, timeout=LONG)


@contextmanager
def gateway(authority: Authority, check: str) -> Iterator[str]:
    """Run nginx before a partner; *check* is what it asks for."""
    with raw_server(say(OK)) as behind, passable_folder() as folder:
        (folder / "users").write_text(f"slipway:{{PLAIN}}{PASSWORD}\n", encoding="utf-8")
        location = f"{check.format(folder=folder)} proxy_pass {behind.url};"
        with nginx_for(folder, authority.issue("gateway"), location=location) as url:
            yield url


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        (
            'auth_basic "partner"; auth_basic_user_file {folder}/users;',
            BASIC,
            Access(basic=Basic("slipway", "an-old-password")),
        ),
        (
            f'if ($http_authorization != "Bearer {TOKEN}") {{{{ return 401; }}}}',
            BEARER,
            Access(bearer="an-old-token"),
        ),
        (
            (
                'set $shown "$http_x_api_key $http_x_tenant";'
                f' if ($shown != "{KEY} casino") {{{{ return 403; }}}}'
            ),
            HEADERS,
            Access(headers=(Header("X-Api-Key", "an-old-key"),)),
        ),
    ],
    ids=["Basic", "Bearer", "own headers"],
)
def test_a_gateway_lets_the_right_credential_through_and_no_other(check, right, wrong):
    """Also a rotated one: what the gateway no longer knows is a 401 or 403."""
    authority = Authority("gateways")
    own = authority.pem.decode()
    with gateway(authority, check) as url:
        let_in = ping_with(url, replace(right, authorities=own))
        refused = ping_with(url, replace(wrong, authorities=own))
        without = ping_with(url, Access(authorities=own))

    assert (let_in.there, let_in.status) == (True, 200), let_in.problem
    assert refused.status in (401, 403)
    assert without.status in (401, 403)


@pytest.mark.parametrize(
    ("access", "shown"),
    [
        (BASIC, "the user slipway (Basic)"),
        (BEARER, "our bearer token"),
        (HEADERS, "our header X-Api-Key and our header X-Tenant"),
        (
            Access(certificate=ClientCertificate("chain", "key"), bearer=TOKEN),
            "our bearer token and our client certificate",
        ),
    ],
)
@pytest.mark.parametrize("status", [401, 403])
def test_a_lock_out_names_what_the_gateway_was_shown(access, shown, status):
    ready = Ready.of(partner_at("http://x/"), ADAPTERS["pam"], secret=SECRET, access=access)
    attempt = locked_out(status)

    explained = ready.explained(attempt)

    expected = f"answered {status} to {shown} (slipway operators access acme)"
    assert explained == replace(attempt, problem=expected)
    assert cause_of(expected) is Cause.LOCKED_OUT


def test_without_an_access_and_for_any_other_status_nothing_is_added():
    plain = Ready.of(partner_at("http://x/"), ADAPTERS["pam"], secret=SECRET)
    ready = replace(plain, access=BASIC)

    assert plain.explained(locked_out(401)) == locked_out(401)
    assert ready.explained(locked_out(500)) == locked_out(500)


def locked_out(status: int) -> Attempt:
    """An attempt that was answered so."""
    return replace(
        Attempt(claim=WIN, verdict=RetryLater(LONG), took=LONG, http_status=status),
        problem=f"answered {status}",
    )


def test_what_a_partner_repeats_of_a_secret_is_stored_nowhere():
    """A gateway's error page may show the request that it refused."""
    everything = Access(headers=HEADERS.headers, basic=BASIC.basic)
    ready = Ready.of(partner_at("http://x/"), ADAPTERS["pam"], secret=SECRET, access=everything)
    sent = ready.authorized(ADAPTERS["pam"].build_ping(ready.partner, secret=SECRET))
    page = "; ".join(f"{name}: {value}" for name, value in sent.headers.items())
    lines = [f"X-Echo: {page}\r\n".encode()]

    shown = ready.redacted(HttpResponse(401, page.encode() + SECRET.encode(), headers=lines))

    assert isinstance(shown, HttpResponse)
    text = (shown.body + b"".join(shown.headers)).decode()
    for secret in (KEY, PASSWORD, SECRET, sent.headers["Authorization"].partition(" ")[2]):
        assert secret not in text
    assert "X-Tenant: casino" in text
    for secret in (KEY, PASSWORD, SECRET):
        assert secret not in repr((ready, sent, everything))


def test_a_partner_without_any_of_this_gets_the_very_request_of_its_protocol():
    ready = Ready.of(partner_at("http://x/"), ADAPTERS["pam"], secret=SECRET, access=NO_ACCESS)
    request = ADAPTERS["pam"].build_ping(ready.partner, secret=SECRET)

    assert ready.authorized(request) is request
    assert ready.connection is None


def test_a_partner_s_own_user_agent_replaces_ours():
    requests: list[bytes] = []

    def converse(line: Line) -> None:
        requests.append(line.request() or b"")
        line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    settings = delivery_settings(partner_contact="https://ops.example.com")
    limits = TransferLimits.of(settings)
    with raw_server(converse) as server:
        for user_agent in ("Casino-Gateway/2", None):
            partner = partner_at(server.url, user_agent=user_agent)
            ping(partner, secret=SECRET, limits=limits, timeout=LONG)

    agents = [
        line for sent in requests for line in sent.split(b"\r\n") if line.startswith(b"User-Agent")
    ]
    version = TransferLimits.of(delivery_settings()).user_agent
    assert agents == [
        b"User-Agent: Casino-Gateway/2",
        f"User-Agent: {version} (+https://ops.example.com)".encode(),
    ]
