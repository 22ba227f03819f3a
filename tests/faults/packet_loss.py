"""`python -m tests.faults.packet_loss`: a line that loses every packet. Needs root and `ip`; 40 s.

Two sessions with PostgreSQL, opened as our processes open theirs, in a network namespace of their
own. Then nothing they send arrives, and neither end is told. Prints how long each took to give the
line up; exit code 1 if one took longer than `proxy.py` assumes.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError

from models.database.engine import open_engine
from tests.faults.network import Network
from tests.faults.proxy import UNSEEN_SECONDS_MAX
from tests.faults.reconciliation import asking
from tests.faults.schedule import Place
from tests.support.server_folders import passable_folder
from tests.support.wait import eventually
from worker.local.servers import embedded_servers
from worker.local.servers.ports import LOOPBACK

SPACE: Final = "slipway-dead-line"
ENDS: Final = ("slipway-near", "slipway-far")
NEAR, FAR = "10.231.7.1", "10.231.7.2"
NOBODY: Final = "02:00:00:00:00:99"  # a hardware address that nothing here has
ASKING_TOOK: Final = 300  # seconds, if it were answered
PATIENCE_SECONDS: Final = 120.0
ASKED: Final = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
WAITING, SENDING = "waiting", "sending"


def main() -> int:
    """Lay the line, kill it, and wait."""
    with (
        passable_folder() as folder,
        embedded_servers(durable=False, within=folder) as servers,
        a_space(),
        Network() as network,
    ):
        way = (SPACE, Place.POSTGRES)
        port = network.lay(way, LOOPBACK, servers.postgres.port, near=NEAR)
        url = make_url(servers.database_url).set(host=NEAR, port=port)
        address = url.render_as_string(hide_password=False)
        sessions = {kind: session(kind, address) for kind in (WAITING, SENDING)}
        for session in sessions.values():
            assert session.stdout is not None, "opened as a pipe"
            assert session.stdout.readline() == "connected\n"
        eventually(lambda: is_asked(servers.database_url))
        ip(f"neigh replace {FAR} lladdr {NOBODY} nud permanent dev {ENDS[0]}")
        tell(sessions[SENDING], "dead")
        took = {
            kind: float(session.communicate(timeout=PATIENCE_SECONDS)[0])
            for kind, session in sessions.items()
        }
    for kind, seconds in took.items():
        sys.stdout.write(f"{kind}: given up after {seconds:.1f} s\n")
    return 0 if max(took.values()) <= UNSEEN_SECONDS_MAX else 1


@contextmanager
def a_space() -> Iterator[None]:
    """A network namespace, and a pair of devices that leads there."""
    ip(f"netns add {SPACE}")
    try:
        ip(f"link add {ENDS[0]} type veth peer name {ENDS[1]} netns {SPACE}")
        ip(f"addr add {NEAR}/24 dev {ENDS[0]}")
        ip(f"link set {ENDS[0]} up")
        ip(f"-n {SPACE} addr add {FAR}/24 dev {ENDS[1]}")
        ip(f"-n {SPACE} link set {ENDS[1]} up")
        yield
    finally:
        ip(f"netns del {SPACE}")


def ip(words: str) -> None:
    """Run `ip`."""
    subprocess.run([program(), *words.split()], check=True)


def program() -> str:
    """Where `ip` is."""
    ip = shutil.which("ip", path="/usr/sbin:/usr/bin:/sbin:/bin")
    assert ip is not None, "install iproute2"
    return ip


def session(kind: str, address: str) -> "subprocess.Popen[str]":
    """A process on the far side of the line; the address, with its password, comes as input."""
    python = [sys.executable, "-m", "tests.faults.packet_loss", kind]
    opened = subprocess.Popen(
        [program(), "netns", "exec", SPACE, *python],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    tell(opened, address)
    return opened


def tell(session: "subprocess.Popen[str]", word: str) -> None:
    """Write a line to it."""
    assert session.stdin is not None, "opened as a pipe"
    session.stdin.write(word + "\n")
    session.stdin.flush()


def is_asked(database_url: str) -> bool:
    """Whether PostgreSQL works on what the waiting session asked."""
    with asking(database_url) as connection:
        return bool(connection.execute(ASKED).scalar_one())


def be_a_session(kind: str) -> int:
    """Connect, say so, and say how long it took until PostgreSQL was given up."""
    engine = open_engine(
        sys.stdin.readline().strip(),
        application_name="dead line",
        statement_timeout=timedelta(seconds=ASKING_TOOK),
    )
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        sys.stdout.write("connected\n")
        sys.stdout.flush()
        if kind == SENDING:
            sys.stdin.readline()  # the line is dead by now
        began = time.monotonic()
        try:
            connection.execute(text("SELECT pg_sleep(:long)"), {"long": ASKING_TOOK})
        except DBAPIError:
            sys.stdout.write(f"{time.monotonic() - began}\n")
    return 0


if __name__ == "__main__":
    sys.exit(be_a_session(sys.argv[1]) if sys.argv[1:] else main())
