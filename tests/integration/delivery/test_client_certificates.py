"""Partners behind their own authority and a client certificate: nginx and stunnel ask for it."""

import ssl
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from models.access.values import Access, ClientCertificate
from models.outbox.causes import Cause, cause_of
from tests.support.authority import DAY, Authority, Issued
from tests.support.certificates import identity
from tests.support.http_clients import LONG, open_client
from tests.support.raw_server import OK, Line, RawServer, raw_server, say
from tests.support.server_folders import passable_folder
from tests.support.tls_front_ends import nginx_for, stunnel_for
from tests.support.wait import eventually
from worker.delivery.front_ends import certificate_problem
from worker.delivery.gateway_access import connection_options
from worker.delivery.http.client import HttpClient
from worker.delivery.http.exchange import (
    CallResult,
    ConnectionOptions,
    FinishedCall,
    HttpCall,
    HttpResponse,
    NoResponse,
    NotReached,
)
from worker.delivery.http.trust import trusted_with

REFUSED = {
    "none": ("required SSL certificate", "none was sent"),
    "expired": ("certificate error", "it has expired"),
    "revoked": ("certificate error", "it is revoked"),
    "another's": ("certificate error", "does not know the authority"),
}


@dataclass(slots=True)
class Partners:
    """Certificates of partners: of the right authority, and those that are refused."""

    authority: Authority
    acme: Issued
    nova: Issued
    refused: dict[str, Issued | None]
    nginx: str  # its address
    stunnel: str
    behind: RawServer  # what is behind stunnel

    def options(self, issued: Issued | None) -> ConnectionOptions:
        """How a partner's connections are opened that sends *issued*."""
        access = Access(authorities=self.authority.pem.decode())
        if issued is not None:
            certificate = ClientCertificate(issued.chain.decode(), issued.key.decode())
            access = Access(authorities=access.authorities, certificate=certificate)
        made = connection_options(access)
        assert made is not None
        return made


@pytest.fixture(scope="module")
def partners() -> Iterator[Partners]:
    """Both front ends, which accept the certificates of one authority and refuse a revoked one."""
    authority, another = Authority("the partner's own"), Authority("another")
    server = authority.issue("partner")
    revoked = authority.issue("revoked", host=None)
    refused = {
        "none": None,
        "expired": authority.issue("expired", host=None, valid_for=-DAY),
        "revoked": revoked,
        "another's": another.issue("another's", host=None),
    }
    gone = authority.revoked(revoked)
    with (
        passable_folder() as folder,
        raw_server(say(OK)) as behind,
        nginx_for(folder, server, clients=authority, revoked=gone) as nginx,
        stunnel_for(folder, server, clients=authority, behind=behind.port, revoked=gone) as stunnel,
    ):
        acme, nova = authority.issue("acme", host=None), authority.issue("nova", host=None)
        yield Partners(authority, acme, nova, refused, nginx, stunnel, behind)


def call(
    client: HttpClient, url: str, options: ConnectionOptions | None, *, alone: bool = False
) -> CallResult:
    """Make one call."""
    client.start(HttpCall(1, url, {}, b"{}", LONG, own_connection=alone, connection=options))
    (finished,) = client.finished(LONG)
    return finished.result


def caller(result: CallResult) -> tuple[str, str]:
    """Whom nginx saw, and the number of the request on its connection."""
    assert isinstance(result, HttpResponse), result
    assert result.status == 200, result.body
    name, _, number = result.body.decode().split("|")
    return name, number


def test_a_connection_and_a_tls_session_belong_to_one_partner_s_certificate(client, partners):
    """Two partners at one host. Each handle carries the calls of both, in turn."""
    acme, nova = partners.options(partners.acme), partners.options(partners.nova)

    def seen(options: ConnectionOptions, *, alone: bool = False) -> tuple[str, str]:
        return caller(call(client, partners.nginx, options, alone=alone))

    assert [seen(acme), seen(nova), seen(acme), seen(nova)] == [
        ("CN=acme", "1"),
        ("CN=nova", "1"),
        ("CN=acme", "2"),
        ("CN=nova", "2"),
    ]
    for _ in range(2):  # a new connection each: TLS may resume a session, but its own alone
        assert seen(acme, alone=True) == ("CN=acme", "1")
        assert seen(nova, alone=True) == ("CN=nova", "1")


def test_many_calls_of_two_partners_at_once_never_exchange_their_certificates(client, partners):
    options = [partners.options(partners.acme), partners.options(partners.nova)]
    for round_ in range(3):
        for number in range(16):
            client.start(
                HttpCall(number, partners.nginx, {}, b"{}", LONG, connection=options[number % 2])
            )
        calls: list[FinishedCall] = []
        while len(calls) < 16:
            calls += client.finished(LONG)
        for finished in calls:
            expected = "CN=nova" if finished.call_id % 2 else "CN=acme"
            assert caller(finished.result)[0] == expected, round_


def test_nothing_of_an_access_is_left_for_a_partner_without_one(client, partners):
    """Neither the certificate nor the trust in another's authority."""
    acme = partners.options(partners.acme)
    assert caller(call(client, partners.nginx, acme)) == ("CN=acme", "1")

    untrusted = call(client, partners.nginx, None)
    nameless = call(client, partners.nginx, partners.options(None))

    assert isinstance(untrusted, NotReached)
    assert untrusted.problem.startswith("the partner's certificate is from no authority")
    assert isinstance(nameless, HttpResponse)
    assert nameless.status == 400
    assert caller(call(client, partners.nginx, acme)) == ("CN=acme", "2")


@pytest.mark.parametrize("which", REFUSED)
def test_nginx_s_answer_to_a_certificate_names_the_certificate(client, partners, which):
    result = call(client, partners.nginx, partners.options(partners.refused[which]))

    assert isinstance(result, HttpResponse)
    assert REFUSED[which][0] in result.body.decode()
    problem = certificate_problem(result)
    assert problem is not None
    assert cause_of(problem) is Cause.CLIENT_CERTIFICATE
    assert "slipway operators access" in problem


@pytest.mark.parametrize("which", REFUSED)
def test_a_handshake_that_stunnel_refuses_names_the_certificate(client, partners, which):
    """With TLS 1.3 the request may be on its way: a reset that overtakes the alert leaves doubt."""
    options = partners.options(partners.refused[which])

    def says_why() -> str | None:
        result = call(client, partners.stunnel, options)
        assert isinstance(result, NotReached | NoResponse)
        return result.problem if isinstance(result, NotReached) else None

    problem = eventually(says_why)
    assert problem is not None
    assert (REFUSED[which][1] in problem) or "asks for a client certificate" in problem
    assert cause_of(problem) is Cause.CLIENT_CERTIFICATE
    assert partners.behind.requests == []


@pytest.mark.parametrize(
    ("which", "problem", "cause"),
    [
        ("none", "it asks for a client certificate (slipway operators access CODE), or", Cause.TLS),
        ("expired", "refuses our client certificate: it has expired", Cause.CLIENT_CERTIFICATE),
        ("another's", "the partner does not know the authority", Cause.CLIENT_CERTIFICATE),
    ],
)
def test_a_handshake_of_tls_1_2_that_is_refused_names_the_certificate(
    client, partners, tmp_path, which, problem, cause
):
    """There it says less than in TLS 1.3, but comes before the request."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*partners.authority.issue("partner").write(tmp_path, "server"))
    context.load_verify_locations(cadata=partners.authority.pem.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with raw_server(lambda line: shake_hands(line, context)) as server:
        url = server.url.replace("http:", "https:")
        result = call(client, url, partners.options(partners.refused[which]))

    assert isinstance(result, NotReached)
    assert problem in result.problem
    assert cause_of(result.problem) is cause


def shake_hands(line: Line, context: ssl.SSLContext) -> None:
    """Answer until the client is refused; what it sent is read, so no reset overtakes the alert."""
    received, answer = ssl.MemoryBIO(), ssl.MemoryBIO()
    spoken = context.wrap_bio(received, answer, server_side=True)
    while part := line.connection.recv(65_536):
        received.write(part)
        with suppress(ssl.SSLError):
            spoken.do_handshake()
        line.send(answer.read())


def test_stunnel_lets_the_right_certificate_through(client, partners):
    for issued in (partners.acme, partners.nova):
        for _ in range(2):
            result = call(client, partners.stunnel, partners.options(issued))
            assert result == HttpResponse(200, b"ok")


def test_a_key_of_another_certificate_is_named_before_anything_is_sent(client, partners):
    mixed = ConnectionOptions(partners.authority.pem, partners.acme.chain, partners.nova.key)

    result = call(client, partners.nginx, mixed)

    assert isinstance(result, NotReached)
    assert cause_of(result.problem) is Cause.CLIENT_CERTIFICATE
    assert "PRIVATE" not in result.problem


@pytest.mark.parametrize(
    ("host", "valid_for", "problem"),
    [
        ("127.0.0.1", -DAY, "the partner's certificate has expired"),
        ("other.example", DAY, "the partner's certificate is for another host"),
    ],
)
def test_a_server_certificate_that_is_not_good_is_named(tmp_path, client, host, valid_for, problem):
    authority = Authority("own")
    server = authority.issue("partner", host=host, valid_for=valid_for)
    with passable_folder() as folder, nginx_for(folder, server) as url:
        result = call(client, url, ConnectionOptions(authority.pem))

    assert isinstance(result, NotReached)
    assert result.problem.startswith(problem)
    assert cause_of(result.problem) is Cause.CERTIFICATE


def test_an_own_bundle_counts_instead_of_what_all_trust_and_says_what_to_change(tmp_path):
    """A partner that moves to a public authority is not reached until its bundle is removed."""
    tls = identity(tmp_path)
    trusted = trusted_with(tmp_path / "partner.pem")
    with raw_server(say(OK), tls=tls) as server, open_client(authorities=trusted) as client:
        moved = call(client, server.url, ConnectionOptions(Authority("old").pem))
        removed = call(client, server.url, None)

    assert isinstance(moved, NotReached)
    assert "this operator's own CA bundle" in moved.problem
    assert "replace or remove that bundle: slipway operators access CODE" in moved.problem
    assert removed == HttpResponse(200, b"ok")


def test_an_own_bundle_that_is_none_is_named(tmp_path, client):
    tls = identity(tmp_path)
    with raw_server(say(OK), tls=tls) as server:
        result = call(client, server.url, ConnectionOptions(_bytes(tmp_path / "partner.key")))

    assert isinstance(result, NotReached)
    assert result.problem.startswith("no authority can be read from the CA bundle of this operator")
    assert "PRIVATE" not in result.problem


def _bytes(path: Path) -> bytes:
    return path.read_bytes()
