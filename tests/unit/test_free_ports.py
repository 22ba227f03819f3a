"""Ports for embedded servers and the processes beside them."""

import socket

from worker.embedded.ports import FIRST, LAST, LOOPBACK, free_port


def test_a_free_port_can_be_listened_on_and_is_no_client_s():
    port = free_port()

    with socket.socket() as listener:
        listener.bind((LOOPBACK, port))
        listener.listen()
    assert FIRST <= port < LAST
    assert LAST < 32_768, "from there on Linux hands ports to outgoing connections"
