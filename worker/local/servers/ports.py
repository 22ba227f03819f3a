"""Free TCP ports on this machine, and those that a data folder keeps from one start to the next."""

import socket
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from secrets import randbelow

LOOPBACK = "127.0.0.1"

# Below the range from which Linux (32768) and macOS (49152) take the local ports of outgoing
# connections. A port from that range can be lost to any client while its server restarts, and a
# client that keeps dialling a dead one there may end up connected to itself.
FIRST = 15_000
LAST = 32_000
TRIES_MAX = 200


def free_port(*, refused: Collection[int] = ()) -> int:
    """Return a TCP port, none of *refused*, on which no program listens at this moment.

    Another program may take it before the caller does: a caller that starts a server on it tries
    again with another. Drawn from the system's randomness, so that two processes with the same seed
    draw differently. Raises OSError when no free port was found in TRIES_MAX draws.
    """
    for _ in range(TRIES_MAX):
        port = FIRST + randbelow(LAST - FIRST)
        if port not in refused and _is_free(port):
            return port
    raise OSError(f"no free TCP port found between {FIRST} and {LAST} on {LOOPBACK}")


@dataclass(frozen=True, slots=True)
class KeptPorts:
    """A port for each name, the same at every start, so that addresses stay valid.

    Kept in *file*, a line `NAME PORT` for each; None: nothing is kept.
    """

    file: Path | None

    def choose(self, name: str, *, refused: Collection[int] = ()) -> int:
        """Return the port kept for *name*, or a free one if none is or it is taken or *refused*.

        A free one is never that of another name, whose program may not have started yet.
        """
        others = self._read()
        kept = others.pop(name, None)
        if kept is None or kept in refused or not _is_free(kept, lingering=True):
            return free_port(refused={*others.values(), *refused})
        return kept

    def keep(self, name: str, port: int) -> int | None:
        """Keep *port* for *name*; the one that was kept before, if that is another."""
        ports = self._read()
        before = ports.get(name)
        if self.file is None or before == port:
            return None
        lines = "".join(f"{each} {number}\n" for each, number in {**ports, name: port}.items())
        fresh = self.file.with_suffix(".new")
        fresh.write_text(lines, encoding="ascii")
        fresh.rename(self.file)
        return before

    def _read(self) -> dict[str, int]:
        if self.file is None or not self.file.exists():
            return {}
        lines = [line.split() for line in self.file.read_text(errors="replace").splitlines()]
        return {line[0]: int(line[1]) for line in lines if len(line) == 2 and _is_port(line[1])}  # noqa: PLR2004 - a name, a port


def _is_port(text: str) -> bool:
    return text.isdecimal() and text.isascii() and 0 < int(text) < 65_536  # noqa: PLR2004 - 16 bits


def _is_free(port: int, *, lingering: bool = False) -> bool:
    """*lingering*: a server's port is its own again although its last connections linger."""
    with socket.socket() as probe:
        if lingering:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
