"""Ports for embedded servers and the processes beside them."""

import socket
from pathlib import Path

import pytest

from worker.cli.up.environment import with_ports
from worker.local.servers import ports as drawing
from worker.local.servers.ports import FIRST, LAST, LOOPBACK, KeptPorts, free_port

ZEROS = ("SLIPWAY_GATEWAY_PORT", "SLIPWAY_FLOWER_PORT", "SLIPWAY_CONSOLE_PORT")


def test_a_free_port_can_be_listened_on_and_is_no_client_s():
    port = free_port()

    with socket.socket() as listener:
        listener.bind((LOOPBACK, port))
        listener.listen()
    assert FIRST <= port < LAST
    assert LAST < 32_768, "from there on Linux hands ports to outgoing connections"


def free_ports(number: int) -> list[int]:
    ports: list[int] = []
    while len(ports) < number:
        ports.append(free_port(refused=ports))
    return ports


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Three free ports. The first is drawn twice, as happens by chance, then the others."""
    ports = free_ports(3)
    draws = iter([ports[0], ports[0], ports[1], ports[1], ports[2]])
    monkeypatch.setattr(drawing, "randbelow", lambda _: next(draws) - FIRST)
    return ports


def test_a_port_that_was_drawn_is_not_drawn_for_another_process(drawn):
    environment = with_ports(dict.fromkeys(ZEROS, "0"))

    assert [environment[name] for name in ZEROS] == [str(port) for port in drawn]


def test_a_port_that_was_set_is_not_drawn(drawn):
    given = {"SLIPWAY_METRICS_PORT": str(drawn[0]), "SLIPWAY_GATEWAY_PORT": "0"}

    assert with_ports(given)["SLIPWAY_GATEWAY_PORT"] == str(drawn[1])


def test_the_port_kept_for_another_name_is_not_drawn(drawn, kept):
    kept.keep("two", drawn[0])

    assert kept.choose("one") == drawn[1]


@pytest.fixture
def kept(tmp_path: Path) -> KeptPorts:
    return KeptPorts(tmp_path / "ports")


def test_a_kept_port_is_chosen_again_unless_it_is_taken_or_refused(kept):
    port = free_port()
    kept.keep("one", port)
    kept.keep("two", free_port(refused=[port]))

    assert kept.choose("one") == port
    assert kept.choose("one", refused=[port]) != port
    with socket.socket() as listener:
        listener.bind((LOOPBACK, port))
        listener.listen()
        assert kept.choose("one") != port


def test_a_port_is_its_server_s_again_while_its_last_connections_linger(kept):
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port := free_port()))
        listener.listen()
        with socket.create_connection((LOOPBACK, port)):
            line, _ = listener.accept()
            line.close()  # the server's end first: it is the one that lingers
    kept.keep("one", port)

    assert kept.choose("one") == port


def test_a_port_that_replaces_another_names_it(kept):
    assert kept.keep("one", 20_001) is None
    assert kept.keep("one", 20_001) is None
    assert kept.keep("one", 20_002) == 20_001


@pytest.mark.parametrize("text", ["", "one\n", "one x\n", "one 0\n", "one 70000\n", "one 2\xb2\n"])
def test_a_file_that_was_damaged_keeps_nothing(kept, text):
    kept.file.write_text(text, encoding="latin-1")

    assert FIRST <= kept.choose("one") < LAST


def test_without_a_file_nothing_is_kept():
    ports = KeptPorts(None)

    assert ports.keep("one", free_port()) is None
    assert ports.keep("one", free_port()) is None
    assert FIRST <= ports.choose("one") < LAST
