"""A real OAuth 2 server: npm's `oidc-provider`; the gateway asks it about each token (RFC 7662)."""

import json
import shutil
import ssl
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote_plus, urlencode

import httpx
import pytest

from models.access.values import Access, ClientCredentials
from models.operators.access import set_access
from models.operators.interventions import Person
from models.platform.clock import DatabaseClock
from tests.support.certificates import identity
from tests.support.delivery_setup import RUN_MAX, DeliverySetup
from tests.support.npm_packages import install_packages
from tests.support.raw_server import Line, raw_server
from tests.support.sources import ROOT
from tests.support.token_server import response
from worker.delivery.token_endpoint import NOTHING_SENT

SCRIPT = ROOT / "tests/support/token_provider.mjs"
SECRET = "canary secret:7Hq/%&+"
CLIENT_ID = "slipway:eu"
CLIENT = {
    "client_id": CLIENT_ID,
    "client_secret": SECRET,
    "grant_types": ["client_credentials"],
    "response_types": [],
    "redirect_uris": [],
    "scope": "notices",
}

pytestmark = pytest.mark.slow


@dataclass
class GuardedPartner:
    """A partner whose gateway asks the provider whether a token is active."""

    issuer: str
    authorities: str
    trust: ssl.SSLContext
    url: str = ""
    tokens: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    def provider(self, path: str, token: str) -> httpx.Response:
        """Ask the provider about a token, as its client."""
        pair = f"{quote_plus(CLIENT_ID)}:{quote_plus(SECRET)}".encode()
        return httpx.post(
            f"{self.issuer}/token/{path}",
            content=urlencode({"token": token}),
            headers={
                "Authorization": f"Basic {b64encode(pair).decode()}",
                "Content-Type": "application/x-www-form-urlencoded",
            },
            verify=self.trust,
            timeout=30,
        )

    def check(self, line: Line) -> None:
        """Answer calls to the partner."""
        while (request := line.request()) is not None:
            head = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")
            (token,) = [
                entry.partition("Bearer ")[2] for entry in head if entry.startswith("Authorization")
            ]
            status = 200 if self.provider("introspection", token).json()["active"] else 401
            self.tokens.append(token)
            self.statuses.append(status)
            line.send(response(status))


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedPartner]:
    """The provider, with a gateway that trusts it."""
    packages = install_packages(tmp_path_factory.mktemp("npm"), "oidc-provider@9.13.3")
    folder = tmp_path_factory.mktemp("identity")
    identity(folder)
    shutil.copy(SCRIPT, packages / "token_provider.mjs")
    process = subprocess.Popen(
        [shutil.which("node") or "node", "token_provider.mjs"],
        cwd=packages,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    certificate = folder / "partner.pem"
    settings = {
        "key": str(folder / "partner.key"), "certificate": str(certificate), "client": CLIENT,
    }  # fmt: skip
    try:
        process.stdin.write(json.dumps(settings))
        process.stdin.close()
        issuer = process.stdout.readline().strip()
        assert issuer.startswith("https://")
        trust = ssl.create_default_context(cafile=str(certificate))
        guarded = GuardedPartner(issuer, certificate.read_text(encoding="utf-8"), trust)
        with raw_server(guarded.check) as server:
            guarded.url = server.url
            yield guarded
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def use(delivery: DeliverySetup, provider: GuardedPartner, *, secret: str) -> None:
    """Give acme a client at the provider, and the provider's authority."""
    credentials = ClientCredentials(f"{provider.issuer}/token", CLIENT_ID, secret, scope="notices")
    access = Access(oauth=credentials, authorities=provider.authorities)
    with delivery.engine.begin() as connection:
        now = DatabaseClock().now(connection)
        person = Person("test", "needed")
        set_access(connection, "acme", access, now=now, vault=delivery.vault, person=person)


def test_notices_pass_also_after_the_token_was_revoked(delivery, provider):
    delivery.operator("acme", provider.url)
    use(delivery, provider, secret=SECRET)
    loop = delivery.delivery_loop()
    for ticket in ("before", "after"):
        delivery.publish("acme", ("ticket_win", ticket))
        loop.run(lasting=RUN_MAX)
        provider.provider("revocation", provider.tokens[-1])

    assert provider.statuses == [200, 401, 200]
    assert len(set(provider.tokens)) == 2
    rows = delivery.rows("SELECT ended, tries FROM notice")
    assert [tuple(row) for row in rows] == [("delivered", 1)] * 2


def test_a_wrong_secret_is_named(delivery, provider):
    delivery.operator("acme", provider.url)
    before = len(provider.statuses)
    use(delivery, provider, secret="an-old-secret")
    delivery.publish("acme", ("ticket_win", "t"))

    delivery.deliver()

    (row,) = delivery.rows("SELECT problem FROM delivery_attempt")
    expected = (
        f"{NOTHING_SENT}the token endpoint {provider.issuer}/token answered 401 invalid_client"
    )
    assert row.problem.startswith(expected)
    assert "correct client_id and client_secret" in row.problem
    assert len(provider.statuses) == before
