"""A token is read in whatever form its endpoint sends it, and taken by the partner."""

import gzip
import json

import pytest

from tests.support.token_server import add_partner, sending, token_server

TOKEN = "canary-token-odd"
ISSUED = json.dumps({"access_token": TOKEN, "token_type": "BEARER", "expires_in": "3600"})


def framed(status: str, body: bytes, *headers: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status}".encode(), b"Connection: close", *headers, b"", b""]
    return b"\r\n".join(lines) + body


@pytest.mark.parametrize(
    "answer",
    [
        framed("201 Created", ISSUED.encode("utf-8-sig")),
        framed("200 OK", gzip.compress(ISSUED.encode(), mtime=0), b"Content-Encoding: gzip"),
        framed("200 OK", ISSUED.encode(), b"Content-Encoding: gzip"),
        framed("200 OK", ISSUED.encode("utf-16")),
    ],
    ids=["201 and a BOM", "gzip", "text called gzip", "UTF-16"],
)
def test_a_token_is_read_in_whatever_form_it_comes(delivery, answer):
    with token_server() as server:
        server.odd, server.valid = sending(answer), {TOKEN}
        acme = add_partner(delivery, server)
        delivery.publish(acme, ("ticket_win", "t"))

        delivery.deliver()

    assert server.notices == [(TOKEN, 200)]
