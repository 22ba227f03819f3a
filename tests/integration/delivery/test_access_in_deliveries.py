"""An access that is set is used by the next deliveries, and one that is replaced is not."""

from models.access.values import NO_ACCESS, Access, Basic, Header
from models.operators.access import set_access
from models.operators.interventions import Person
from models.platform.clock import DatabaseClock
from tests.support.delivery_setup import RUN_MAX, DeliverySetup
from tests.support.raw_server import OK, Line, raw_server

ANNA = Person("anna", "their new gateway")
KEY = Access(headers=(Header("X-Api-Key", "canary-5Tn8-key"),))
BASIC = Access(basic=Basic("us", "canary-5Tn8-password"))


def use(delivery: DeliverySetup, access: Access) -> None:
    with delivery.engine.begin() as connection:
        now = DatabaseClock().now(connection)
        set_access(connection, "acme", access, now=now, vault=delivery.vault, person=ANNA)


def test_what_is_set_goes_with_the_next_call(delivery):
    seen: list[list[bytes]] = []

    def listen(line: Line) -> None:
        while (request := line.request()) is not None:
            lines = request.partition(b"\r\n\r\n")[0].split(b"\r\n")
            names = (b"X-Api-Key:", b"Authorization:")
            seen.append([header for header in lines if header.startswith(names)])
            line.send(OK)

    with raw_server(listen) as server:
        delivery.operator("acme", server.url)
        for number, access in enumerate((NO_ACCESS, KEY, BASIC, NO_ACCESS)):
            use(delivery, access)
            delivery.publish("acme", ("ticket_win", f"t{number}"))
            delivery.deliver()

    assert seen == [
        [],
        [b"X-Api-Key: canary-5Tn8-key"],
        [b"Authorization: Basic dXM6Y2FuYXJ5LTVUbjgtcGFzc3dvcmQ="],
        [],
    ]


def test_an_access_that_no_key_decrypts_sends_nothing_and_says_so(delivery, partner, acme):
    use(delivery, KEY)
    delivery.change("UPDATE operator SET access = 'damaged'")
    delivery.publish(acme, ("ticket_win", "t1"))

    delivery.delivery_loop().run(lasting=RUN_MAX)

    (attempt,) = delivery.rows("SELECT verdict, problem FROM delivery_attempt")
    assert attempt.verdict == "again"
    assert attempt.problem.startswith("its access cannot be decrypted")
    assert partner.ledger.entries() == ()
