"""A partner takes our credential no longer: nothing dies, and a new one delivers all of it once."""

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from models.access.values import Access, Basic, ClientCertificate, Header
from models.operators.access import set_access
from models.operators.interventions import Person
from models.outbox.causes import Cause, cause_of
from models.platform.clock import DatabaseClock
from tests.support.authority import Authority, Issued
from tests.support.delivery_setup import DeliverySetup, received
from tests.support.server_folders import passable_folder
from tests.support.tls_front_ends import nginx_for

ANNA = Person("anna", "they replaced it")
OLD, NEW = "canary-old-credential", "canary-new-credential"
EVENTS = (("ticket_win", "t1"), ("ticket_rollback", "t1"), ("ticket_win", "t2"))
PROBE = timedelta(seconds=15)
AUTHORITY = Authority("their own")
REVOKED, ISSUED = (AUTHORITY.issue("us", host=None) for _ in range(2))


@dataclass(frozen=True)
class Method:
    """An access that the partner takes no longer, one that it takes, and how nginx checks it."""

    old: Access
    new: Access
    check: str = ""

    @property
    def cause(self) -> Cause:
        return Cause.LOCKED_OUT if self.check else Cause.CLIENT_CERTIFICATE


def certificate(issued: Issued) -> Access:
    return Access(certificate=ClientCertificate(issued.chain.decode(), issued.key.decode()))


METHODS = {
    "a header": Method(
        Access(headers=(Header("X-Api-Key", OLD),)),
        Access(headers=(Header("X-Api-Key", NEW),)),
        f'if ($http_x_api_key != "{NEW}") {{ return 403; }}',
    ),
    "Basic": Method(
        Access(basic=Basic("us", OLD)),
        Access(basic=Basic("us", NEW)),
        'auth_basic "partner"; auth_basic_user_file {folder}/users;',
    ),
    "Bearer": Method(
        Access(bearer=OLD),
        Access(bearer=NEW),
        f'if ($http_authorization != "Bearer {NEW}") {{ return 401; }}',
    ),
    "a client certificate": Method(certificate(REVOKED), certificate(ISSUED)),
}


def use(delivery: DeliverySetup, access: Access) -> None:
    """Give the partner this access."""
    trusting = replace(access, authorities=AUTHORITY.pem.decode())
    with delivery.engine.begin() as connection:
        now = DatabaseClock().now(connection)
        set_access(connection, "acme", trusting, now=now, vault=delivery.vault, person=ANNA)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_what_is_taken_no_longer_is_replaced_and_everything_arrives_once(
    delivery, partner, clock, method
):
    clients = None if method.check else AUTHORITY
    revoked = None if method.check else AUTHORITY.revoked(REVOKED)
    with passable_folder() as folder:
        (folder / "users").write_text(f"us:{{PLAIN}}{NEW}\n", encoding="utf-8")
        check = method.check.replace("{folder}", str(folder))
        location = f"{check} proxy_http_version 1.1; proxy_pass {partner.url};"
        server = AUTHORITY.issue("gateway")
        with nginx_for(folder, server, clients=clients, revoked=revoked, location=location) as url:
            delivery.operator("acme", url)
            use(delivery, method.old)
            delivery.publish("acme", *EVENTS)
            delivery.deliver()

            assert received(partner) == []
            (problem,) = {row.problem for row in delivery.rows("SELECT * FROM delivery_attempt")}
            assert cause_of(problem) is method.cause
            assert "slipway operators access" in problem
            assert "canary" not in problem

            use(delivery, method.new)
            clock.advance(PROBE)
            delivery.deliver()

    assert sorted(received(partner)) == sorted(EVENTS)
    ends = delivery.rows("SELECT ended, perhaps_delivered FROM notice")
    assert {tuple(row) for row in ends} == {("delivered", False)}
