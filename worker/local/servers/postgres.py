"""An embedded PostgreSQL: a fresh cluster made once, then the plain `postgres` program."""

import shutil
import signal
import subprocess
from pathlib import Path

from worker.local.servers.binaries import ENVIRONMENT, Binaries
from worker.local.servers.data_folder import DataFolder
from worker.local.servers.errors import ServerFailed
from worker.local.servers.local_server import LocalServer
from worker.local.servers.ports import LOOPBACK
from worker.local.servers.privileges import run_as

USER = "slipway"
DATABASE = "postgres"  # the one every cluster has
INITDB_SECONDS_MAX = 120

# The last line of postmaster.pid says how far the server is; `pg_ctl --wait` reads it, too.
PID_LINE, STATUS_LINE = 0, 7

SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # a socket's path has a length limit, and none is needed
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
    "dynamic_shared_memory_type": "mmap",  # inside its folder: a kill leaves nothing elsewhere
    "io_method": "sync",  # three processes fewer; nothing here reads ahead
}
DURABLE = {"shared_buffers": "128MB"}
# For data that need not survive a crash of the machine. A killed server still loses nothing:
# what it committed is with the kernel, as long as a COMMIT waits for that (synchronous_commit).
FRAGILE = {
    "shared_buffers": "32MB",
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}
# Its random password cannot be guessed, so rounds of hashing would only make connecting slow: they
# take the client two thirds of the time.
FRAGILE_CLUSTER = ("--no-sync", "--no-data-checksums", "--set=scram_iterations=1")


class PostgresServer(LocalServer):
    """PostgreSQL 18 with the superuser `slipway`, a random password, UTF-8, locale C."""

    def __init__(self, home: DataFolder, binaries: Binaries, *, durable: bool) -> None:
        """Prepare; *durable* keeps what is committed even when the machine crashes."""
        # Fast (SIGINT) writes a checkpoint; immediate (SIGQUIT) leaves that to the next start.
        super().__init__("postgres", home, signal.SIGINT if durable else signal.SIGQUIT)
        self._binaries = binaries
        self._durable = durable

    @property
    def url(self) -> str:
        """The address for SQLAlchemy with psycopg, password included."""
        login = f"{USER}:{self._home.password}"
        return f"postgresql+psycopg://{login}@{LOOPBACK}:{self.port}/{DATABASE}"

    @property
    def _cluster(self) -> Path:
        return self._home.room("postgres") / "cluster"

    def _command(self, port: int) -> list[str]:
        if not self._cluster.exists():
            self._make_cluster()
        settings = {**SETTINGS, **(DURABLE if self._durable else FRAGILE), "port": str(port)}
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [str(self._binaries.postgres), "-D", str(self._cluster), *options]

    def _environment(self) -> dict[str, str]:
        # A crash leaves the dead server's pid behind, and by now it may be another process's:
        # PostgreSQL would take that for itself, still running. Our lock on the folder rules this
        # out, and PostgreSQL ignores the pid that it is given here (pg_ctl does the same), but
        # still checks that no orphaned child of the dead server is running.
        lines = self._pid_file()
        return {**ENVIRONMENT, "PG_GRANDPARENT_PID": lines[PID_LINE]} if lines else ENVIRONMENT

    def _ready(self, pid: int, port: int) -> bool:  # noqa: ARG002 - its pid file says enough
        lines = self._pid_file()
        if len(lines) <= STATUS_LINE or lines[PID_LINE] != str(pid):
            return False
        return lines[STATUS_LINE].strip() == "ready"

    def _pid_file(self) -> list[str]:
        try:
            return (self._cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _make_cluster(self) -> None:
        fresh = self._cluster.with_name("fresh")  # renamed when whole: initdb may be interrupted
        shutil.rmtree(fresh, ignore_errors=True)
        command = [
            str(self._binaries.initdb),
            f"--pgdata={fresh}",
            f"--username={USER}",
            f"--pwfile={self._home.password_file}",
            "--auth=scram-sha-256",  # other users of this machine reach the port as well
            "--encoding=UTF8",
            "--locale=C",
            "--no-instructions",
            *([] if self._durable else FRAGILE_CLUSTER),
        ]
        try:
            made = run_as(
                self._home.account,
                command,
                environment=ENVIRONMENT,
                seconds_max=INITDB_SECONDS_MAX,
            )
        except (OSError, subprocess.TimeoutExpired) as problem:
            raise ServerFailed(f"initdb failed: {problem}") from problem
        if made.returncode != 0:
            raise ServerFailed(f"initdb failed; its output:\n{made.stdout.strip()}")
        fresh.rename(self._cluster)
