"""What the embedded servers have in common: a port, a log, a restart after a crash."""

import logging
import signal
import time
from abc import ABC, abstractmethod
from pathlib import Path

from worker.local.orphan_guard import CannotStart, GuardedProcess, Launch
from worker.local.servers.binaries import ENVIRONMENT
from worker.local.servers.data_folder import DataFolder
from worker.local.servers.errors import ServerFailed

log = logging.getLogger(__name__)

START_SECONDS_MAX = 60.0  # recovery after a crash included
READY_POLL_SECONDS = 0.01
RETRY_SECONDS = 0.1
LOG_TAIL_CHARACTERS = 2_000

# Why a start may fail once and succeed later: another process has just taken the port, or children
# of a killed PostgreSQL have not ended yet.
TAKEN = "Address already in use"
PASSING = (TAKEN, "pre-existing shared memory block")


class LocalServer(ABC):
    """One server on 127.0.0.1, ended by this process or with it. Not shared between threads."""

    def __init__(self, name: str, home: DataFolder, farewell: signal.Signals) -> None:
        """Prepare; nothing runs before `start`. *farewell* is the signal that ends it."""
        self._name = name
        self._home = home
        self._farewell = farewell
        self._process: GuardedProcess | None = None
        self._port: int | None = None
        self._port_before: int | None = None

    @property
    def port(self) -> int:
        """The TCP port: the same after every restart, so that clients find it again."""
        assert self._port is not None, "a server has its port once it was started"
        return self._port

    @property
    def port_before(self) -> int | None:
        """The port of the last start with this data, if it was taken and another one was chosen."""
        return self._port_before

    @property
    def name(self) -> str:
        """The name of its log, of its folder and of its port in the list of ports."""
        return self._name

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process is not None, "only a running server has a process"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the server's process is running."""
        return self._process is not None and not self._process.ended

    @property
    def log_file(self) -> Path:
        """Where the server's own messages go."""
        return self._home.path / f"{self._name}.log"

    def start(self) -> None:
        """Start, or restart with the same port and data; return when it accepts clients.

        Does nothing if it is running. Raises ServerFailed with the end of the server's log.
        """
        deadline = time.monotonic() + START_SECONDS_MAX
        refused: set[int] = set()
        while not self.running:
            port = self._port or self._home.ports.choose(self._name, refused=refused)
            logged = self.log_file.stat().st_size if self.log_file.exists() else 0
            try:
                self._process = GuardedProcess(self._launch(port))
            except CannotStart as problem:
                raise ServerFailed(str(problem)) from problem
            if self._waited_until_ready(self._process, port, deadline):
                self._port = port
                self._port_before = self._home.ports.keep(self._name, port) or self._port_before
                log.debug("embedded_server_ready", extra={"server": self._name, "port": port})
                return
            self._process.end()
            complaint = self.log_file.read_bytes()[logged:].decode(errors="replace")
            passing = any(message in complaint for message in PASSING)
            if TAKEN in complaint:
                refused.add(port)
            if not passing or time.monotonic() > deadline:
                tail = complaint[-LOG_TAIL_CHARACTERS:].strip()
                raise ServerFailed(f"the embedded {self._name} did not start; its log:\n{tail}")
            log.info("embedded_server_restarting", extra={"server": self._name, "port": port})
            time.sleep(RETRY_SECONDS)

    def stop(self) -> None:
        """Shut the server down in good order; kill it if that takes too long."""
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
        """Return whether the process *pid* accepts clients on *port*."""

    def _environment(self) -> dict[str, str]:
        return ENVIRONMENT

    def _launch(self, port: int) -> Launch:
        account = self._home.account
        return Launch(
            command=self._command(port),
            environment=self._environment(),
            folder=self._home.room(self._name),
            log=self.log_file,
            uid=None if account is None else account.uid,
            gid=None if account is None else account.gid,
            lock=self._home.lock,
            farewell=self._farewell,
            discard=None if self._home.kept else self._home.path,
        )

    def _waited_until_ready(self, process: GuardedProcess, port: int, deadline: float) -> bool:
        while time.monotonic() < deadline:
            if process.ended:
                return False
            if self._ready(process.pid, port):
                return True
            time.sleep(READY_POLL_SECONDS)
        return False
