"""What the processes of this machine are (Linux)."""

import contextlib
import signal
from pathlib import Path


def processes_of(folder: Path) -> list[int]:
    """Return the living processes that name *folder* on their command line or work inside it."""
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if _concerns(entry, folder)]


def parent_of(pid: int) -> int:
    """Return the process that started *pid*."""
    return int(_status(pid)["PPid"])


def user_of(pid: int) -> int:
    """Return the effective user id *pid* runs under."""
    return int(_status(pid)["Uid"].split()[1])


def groups_of(pid: int) -> list[int]:
    """Return the supplementary groups of *pid*."""
    return [int(group) for group in _status(pid)["Groups"].split()]


def catches(pid: int, sign: signal.Signals) -> bool:
    """Whether *pid* has set up a handler for *sign*."""
    return bool(int(_status(pid)["SigCgt"], 16) >> (sign - 1) & 1)


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return dict(line.split(":", 1) for line in lines)


def _concerns(entry: Path, folder: Path) -> bool:
    with contextlib.suppress(OSError):  # it has ended meanwhile, or is another user's
        if str(folder).encode() in (entry / "cmdline").read_bytes():
            return True
        return str((entry / "cwd").readlink()).startswith(str(folder))
    return False
