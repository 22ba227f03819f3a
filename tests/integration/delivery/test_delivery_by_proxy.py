"""A whole delivery through the proxy, and the history that says so."""

from dataclasses import replace

import pytest

from models.history.request import find_attempt
from models.outbox.values import BY_PROXY, RetryLater
from tests.support.connect_proxy import connect_proxy
from tests.support.delivery_setup import RUN_MAX, delivery_settings
from tests.support.http_clients import LONG
from tests.support.sample_notice import PARTNER, WIN
from worker.delivery.http.exchange import HttpResponse
from worker.delivery.outcome import RetryPolicy, classify
from worker.delivery.protocols import ADAPTERS

HOME = "127.0.0.0/8"
NGINX_400 = b"<html><center>%s</center><hr><center>nginx</center></html>"


def test_an_attempt_says_that_its_address_is_the_proxy_s(delivery, partner, acme):
    delivery.change("UPDATE operator SET user_agent = 'Casino/2'")
    delivery.publish("acme", ("ticket_win", "T1"))
    with connect_proxy() as proxy:
        loop = delivery.delivery_loop(partner_proxy=proxy.address, partner_proxy_networks=HOME)
        loop.run(lasting=RUN_MAX)
        (row,) = delivery.attempts("notice, verdict, remarks")
        with delivery.engine.connect() as connection:
            shown = find_attempt(connection, row.notice)

    assert (row.verdict, row.remarks) == ("delivered", {BY_PROXY: True})
    assert len(proxy.heads) == 1
    assert shown is not None
    assert shown.remote_address == "127.0.0.1"
    head = bytes(proxy.passed).partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    sent = [tuple(line.split(": ", 1)) for line in head]
    unsigned = [(name, "(signature)" if name == "signature" else text) for name, text in sent]
    assert list(shown.request.headers) == unsigned
    assert ("User-Agent", "Casino/2") in sent


def test_a_proxy_that_refuses_costs_an_attempt_and_leaves_no_doubt(delivery, partner, acme):
    delivery.publish("acme", ("ticket_win", "T1"))
    with connect_proxy() as proxy:
        proxy.status = "403 Forbidden"
        loop = delivery.delivery_loop(partner_proxy=proxy.address, partner_proxy_networks=HOME)
        loop.run(lasting=RUN_MAX)

    (row,) = delivery.rows(
        "SELECT d.verdict, d.problem, n.perhaps_delivered"
        " FROM delivery_attempt d JOIN notice n ON n.id = d.notice"
    )
    assert (row.verdict, row.perhaps_delivered) == ("again", False)
    assert row.problem.startswith(f"the proxy {proxy.address} answered 403")
    assert not partner.ledger.entries()


@pytest.mark.parametrize(
    "page", [b"No required SSL certificate was sent", b"The SSL certificate error"]
)
@pytest.mark.parametrize("protocol", ADAPTERS)
def test_nginx_s_page_about_a_certificate_kills_no_notice(protocol, page):
    def verdict(body: bytes) -> object:
        return classify(
            WIN,
            HttpResponse(400, body),
            took=LONG,
            partner=replace(PARTNER, protocol=protocol),
            policy=RetryPolicy.of(delivery_settings()),
            chance=0.0,
        ).verdict

    assert isinstance(verdict(NGINX_400 % page), RetryLater)
