"""The user the servers run as: PostgreSQL refuses to run as root, and Valkey has no need to."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from worker.local.servers.errors import EmbeddedError

PROBE_SECONDS_MAX = 10


@dataclass(frozen=True, slots=True)
class Account:
    """An existing unprivileged user of this machine, with the group to run under."""

    name: str
    uid: int
    gid: int


def server_account(kept: Path | None) -> Account | None:
    """Return the account for the servers. Returns None if the caller is unprivileged already.

    For root: the owner of *kept*, a folder that an earlier start may have filled, else `nobody`,
    else the first unprivileged user of the machine. No user is ever created. Raises EmbeddedError
    when there is none (PostgreSQL wants its user to have a name), or root may not become it.
    """
    if os.geteuid() != 0:
        return None
    owner = kept.stat().st_uid if kept is not None and kept.exists() else 0
    users = [entry for entry in pwd.getpwall() if entry.pw_uid != 0]
    owners = [entry for entry in users if entry.pw_uid == owner]
    nobodies = [entry for entry in users if entry.pw_name == "nobody"]
    for entry in [*owners, *nobodies, *sorted(users, key=lambda user: user.pw_uid)]:
        account = Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)
        _check_change(account)
        return account
    raise EmbeddedError(
        "PostgreSQL does not run as root, and this machine has no other user to run it as: "
        "start as an ordinary user, or add one (any will do)"
    )


def run_as(
    account: Account | None,
    command: list[str],
    *,
    environment: dict[str, str],
    seconds_max: float = PROBE_SECONDS_MAX,
) -> subprocess.CompletedProcess[str]:
    """Run *command* to its end as *account* and return it with its output, errors included.

    Raises OSError when it cannot be executed and subprocess.TimeoutExpired after *seconds_max*
    (it is killed then).
    """
    return subprocess.run(
        command,
        cwd="/",
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=seconds_max,
        user=None if account is None else account.uid,
        group=None if account is None else account.gid,
        extra_groups=None if account is None else [],
    )


def barrier(folder: Path, account: Account | None) -> Path | None:
    """Return the first folder on the way to *folder* that *account* may not enter, if any.

    A shell tries to enter each; mode bits would not suffice, since access lists and mounts count
    too.
    """
    if account is None or _may_enter(folder, account):
        return None
    way = [*reversed(folder.resolve().parents), folder]
    return next((step for step in way if not _may_enter(step, account)), folder)


def _check_change(account: Account) -> None:
    try:
        _may_enter(Path("/"), account)
    except PermissionError as problem:
        raise EmbeddedError(
            f"PostgreSQL does not run as root, and root may not become {account.name!r} here (a "
            "container without the capabilities SETUID and SETGID?): start as an ordinary user"
        ) from problem


def _may_enter(folder: Path, account: Account) -> bool:
    entering = ["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)]
    return run_as(account, entering, environment={}).returncode == 0
