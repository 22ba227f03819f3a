"""What the embedded servers have in common: a port, a log, starting again after a crash."""

import logging
import signal
import time
from abc import ABC, abstractmethod
from pathlib import Path

from worker.local.servers.binaries import ENVIRONMENT
from worker.local.servers.data_folder import DataFolder
from worker.local.servers.errors import ServerFailed
from worker.local.servers.guarded import Launch, Leashed

log = logging.getLogger(__name__)

START_SECONDS_MAX = 60.0  # recovery after a crash included
READY_POLL_SECONDS = 0.01
AGAIN_SECONDS = 0.1
LOG_TAIL_CHARACTERS = 2_000

# What ends a start but passes: another process was quicker with the port, or children of a
# killed PostgreSQL have not noticed yet.
TAKEN = "Address already in use"
PASSING = (TAKEN, "pre-existing shared memory block")


class LocalServer(ABC):
    """One server on 127.0.0.1, ended by this process or with it. Not for sharing by threads."""

    def __init__(self, name: str, home: DataFolder, farewell: signal.Signals) -> None:
        """Prepare; nothing runs before `start`. *farewell* is the signal that ends it."""
        self._name = name
        self._home = home
        self._farewell = farewell
        self._process: Leashed | None = None
        self._port: int | None = None
        self._port_before: int | None = None

    @property
    def port(self) -> int:
        """The TCP port; fixed from the first start on, so that clients find it again."""
        assert self._port is not None, "a server has its port once it was started"
        return self._port

    @property
    def port_before(self) -> int | None:
        """The port of the last start with these data, where this one had to take another."""
        return self._port_before

    @property
    def name(self) -> str:
        """What its log, its folder and its kept port are called."""
        return self._name

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process is not None, "only a running server has a process"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the server's process lives."""
        return self._process is not None and not self._process.ended

    @property
    def log_file(self) -> Path:
        """Where the server's own messages go."""
        return self._home.path / f"{self._name}.log"

    def start(self) -> None:
        """Start, or start again with the same port and data; returns when it accepts clients.

        Does nothing when it is running. Raises ServerFailed with the end of the server's log.
        """
        deadline = time.monotonic() + START_SECONDS_MAX
        refused: set[int] = set()
        while not self.running:
            port = self._port or self._home.ports.choose(self._name, refused=refused)
            said = self.log_file.stat().st_size if self.log_file.exists() else 0
            self._process = Leashed(self._launch(port))
            if self._waited_until_ready(self._process, port, deadline):
                self._port = port
                self._port_before = self._home.ports.keep(self._name, port) or self._port_before
                log.debug("embedded_server_ready", extra={"server": self._name, "port": port})
                return
            self._process.end()
            complaint = self.log_file.read_bytes()[said:].decode(errors="replace")
            passing = any(words in complaint for words in PASSING)
            if TAKEN in complaint:
                refused.add(port)
            if not passing or time.monotonic() > deadline:
                tail = complaint[-LOG_TAIL_CHARACTERS:].strip()
                raise ServerFailed(f"the embedded {self._name} did not start; it said:\n{tail}")
            log.info("embedded_server_again", extra={"server": self._name, "port": port})
            time.sleep(AGAIN_SECONDS)

    def stop(self) -> None:
        """End the server in its own orderly way, killing it if that takes too long."""
        if self._process is not None:
            self._process.end()
            self._process = None

    def kill(self) -> None:
        """SIGKILL the server, as a crash would; `start` brings it back."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    @abstractmethod
    def _command(self, port: int) -> list[str]:
        """Return the command line; called before every start."""

    @abstractmethod
    def _ready(self, pid: int, port: int) -> bool:
        """Tell whether the process *pid* accepts clients on *port*."""

    def _environment(self) -> dict[str, str]:
        return ENVIRONMENT

    def _launch(self, port: int) -> Launch:
        return Launch(
            command=self._command(port),
            environment=self._environment(),
            folder=self._home.room(self._name),
            log=self.log_file,
            account=self._home.account,
            lock=self._home.lock,
            farewell=self._farewell,
            discard=None if self._home.kept else self._home.path,
        )

    def _waited_until_ready(self, process: Leashed, port: int, deadline: float) -> bool:
        while time.monotonic() < deadline:
            if process.ended:
                return False
            if self._ready(process.pid, port):
                return True
            time.sleep(READY_POLL_SECONDS)
        return False
