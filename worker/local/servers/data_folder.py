"""The folder in which both servers keep their data: made, locked, and given to their user.

    DATA/lock        held by the process that runs the servers, until the last of them has ended
    DATA/password    one random password for both servers, readable by their user alone
    DATA/valkey.conf written before every start, readable likewise
    DATA/postgres    and DATA/valkey: what the servers keep
    DATA/ports       the port of each server, the same at every start unless it is taken
    DATA/binaries    a copy of the servers, only where their user cannot reach the installed ones
    DATA/*.log       the servers' logs; *.log.previous: from before the last start

Folders made here belong to the servers' user or let it pass; the mode of any other folder is
left as it is, and when one is in the way the error names it.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

from worker.local.servers.errors import DataFolderUnusable
from worker.local.servers.ports import KeptPorts
from worker.local.servers.privileges import Account, barrier, server_account

# A killed starter's servers hold the lock until they have ended (orphan_guard.PATIENCE_SECONDS).
LOCK_SECONDS_MAX = 15.0
LOCK_POLL_SECONDS = 0.05

PORTS_FILE = "ports"

PRIVATE = 0o700
PASSABLE = 0o711  # the servers' user must get through a folder that root made, without listing it


@dataclass(frozen=True, slots=True)
class DataFolder:
    """A locked folder that `account` can work in."""

    path: Path
    account: Account | None  # None: the servers run as the caller
    password: str = field(repr=False)
    lock: int  # file descriptor; see orphan_guard.Launch
    kept: bool

    @property
    def ports(self) -> KeptPorts:
        """The ports of its servers; kept with the data."""
        return KeptPorts(self.path / PORTS_FILE if self.kept else None)

    @property
    def password_file(self) -> Path:
        """The file that holds `password`, readable by the servers' user."""
        return self.path / "password"

    def room(self, name: str) -> Path:
        """Return the folder *name* inside, private to the servers' user, made if missing."""
        room = self.path / name
        if not room.exists():
            room.mkdir(mode=0o700)
            give_to(room, self.account)
        return room


@contextmanager
def data_folder(data: Path | None, *, within: Path | None) -> Iterator[DataFolder]:
    """Lock *data*, made if missing, or a private folder *within* that is deleted at the end.

    Raises DataFolderUnusable when another process uses it (after waiting for servers that are
    just ending), when it belongs to another user, or when the servers' user cannot enter it.
    """
    if data is not None:
        with _opened(data.expanduser().absolute(), kept=True) as folder:
            yield folder
        return
    private = _private_folder(within)
    try:
        with _opened(private, kept=False) as folder:
            yield folder
    finally:
        shutil.rmtree(private, ignore_errors=True)


def give_to(path: Path, account: Account | None) -> None:
    """Make *account* the owner of a file or folder made here."""
    if account is not None:
        os.chown(path, account.uid, account.gid)


@contextmanager
def _opened(path: Path, *, kept: bool) -> Iterator[DataFolder]:
    try:
        _make(path)
        account = server_account(path / "postgres")
        _check_reach(path, account)
        lock = _locked(path / "lock")
    except OSError as problem:
        raise DataFolderUnusable(
            f"the data folder {path} cannot be used: {problem}. Choose a folder that you may "
            "write to, or run as the user it belongs to"
        ) from problem
    try:
        for log in path.glob("*.log"):
            log.replace(log.with_suffix(".log.previous"))
        password = _password(path / "password", account)
        yield DataFolder(path=path, account=account, password=password, lock=lock, kept=kept)
    finally:
        os.close(lock)


def _make(path: Path) -> None:
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir()
        folder.chmod(PASSABLE if os.geteuid() == 0 else PRIVATE)


def _private_folder(within: Path | None) -> Path:
    account = server_account(None)
    usual = [Path(place) for place in (tempfile.gettempdir(), "/tmp", "/var/tmp")]  # noqa: S108 - a private folder is made inside
    places = usual if within is None else [within]
    place = next((place for place in places if barrier(place, account) is None), places[0])
    folder = Path(tempfile.mkdtemp(prefix="slipway-", dir=place))
    folder.chmod(PRIVATE if account is None else PASSABLE)
    return folder


def _check_reach(path: Path, account: Account | None) -> None:
    blocked = barrier(path, account)
    if blocked is not None and account is not None:
        raise DataFolderUnusable(
            f"the data folder {path} cannot be used: the servers run as user {account.name!r} "
            f"(PostgreSQL does not run as root), who may not enter {blocked}. Choose a folder "
            "elsewhere, for instance under /var/lib, or start as the user it belongs to"
        )


def _locked(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + LOCK_SECONDS_MAX
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(LOCK_POLL_SECONDS)
                continue
            os.close(descriptor)
            raise DataFolderUnusable(
                f"the data folder {path.parent} is in use by another process: stop that one, "
                "or choose another folder"
            ) from None
        return descriptor


def _password(path: Path, account: Account | None) -> str:
    if path.exists():
        return path.read_text().strip()
    password = token_hex(24)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600, exist_ok=False)
    fresh.write_text(password)
    give_to(fresh, account)
    fresh.rename(path)
    return password
