"""Processes of the product, forked from one that has loaded the modules already.

Loading them takes a processor up to two seconds, and the tests start hundreds of processes. A
forked one is as real: it has an id of its own, is the child of who started it, and is signalled,
killed and waited for as any other. `Popen` forks what it knows (`_KNOWN`) and executes the rest:

- outside `forking()`, which pytest's session is: benchmarks measure real starts;
- where the environment has other differences than `_READ_LATE`, an option of Python's for example;
- on a terminal, as another user, and on systems other than Linux.

What stands in /proc (command line, environment, memory) is the fork server's. Tests that look at
it, or at how a process starts, use `subprocess.Popen`.
"""

import ctypes
import inspect
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, AnyStr, Final

from worker.local.supervisor.child import START_WHEN_TOLD

ROOT: Final = Path(__file__).parents[2]
PROGRAMS: Final = Path(sys.executable).parent
MESSAGE_BYTES_MAX: Final = 1 << 17
READY: Final = b"ready"
ENDING_SECONDS_MAX: Final = 60
_SERVE: Final = "from tests.support.forked_programs import serve; exec(serve())"
_SUBREAPER: Final = 36  # PR_SET_CHILD_SUBREAPER in linux/prctl.h
_KNOWN: Final = (
    ("-m", "worker.celery"),
    ("-m", "uvicorn"),
    (str(PROGRAMS / "uvicorn"),),
    (str(PROGRAMS / "slipway"),),
    ("-c", "from worker.cli import main; main()"),
)
_STARTS_OTHERS: Final = {"up", "demo"}
# These may differ from the fork server's: nothing reads them before a program's first line runs.
_READ_LATE: Final = re.compile(
    r"(SLIPWAY|FLOWER)_\w+|PYTEST_CURRENT_TEST|TMPDIR|PATH|PWD|OLDPWD|SHLVL|_"
    r"|GATEWAY_URL|API_KEY_FILE"  # of the programs on the page about publishing
)
_WARNINGS, _SHOW_THEM = "PYTHONWARNINGS", "default"  # the only value that a child can take over
_LINE_OF_SHELL: Final = re.compile(r"((?:.*&& )?)exec (.*)")
# What the shell would execute: how many words, the words, the environment.
_ASK_SHELL: Final = """printf '%s\\0' "$#" "$@"; env -0"""


@dataclass(frozen=True, slots=True)
class Start:
    """All that a process is started with, but for its input and output.

    *when_told*: it first reads a line, as the supervisor's processes do.
    """

    words: list[str]
    environment: dict[str, str]
    folder: str
    mask: int
    new_session: bool
    when_told: bool

    @property
    def starts_others(self) -> bool:
        """Whether it starts processes of the product itself."""
        return not _STARTS_OTHERS.isdisjoint(self.words[2:4])


class ForkServer:
    """Asks for forks. The process that forks is started when the first is asked for."""

    def __init__(
        self, environment: Mapping[str, str], control: socket.socket | None = None
    ) -> None:
        self._environment = {
            name: value for name, value in environment.items() if name != _WARNINGS
        }
        self._early = _read_early(self._environment)
        self._control = control
        self._lock = threading.Lock()
        self._ends = ExitStack()

    def fork(self, start: Start, descriptors: Sequence[int]) -> int:
        """Fork a child of this process, with *descriptors* as 0, 1 and 2; its id."""
        with self._lock:
            if self._control is None:
                self._control = self._started()
            with _taking_in_orphans():
                socket.send_fds(self._control, [json.dumps(asdict(start)).encode()], descriptors)
                return int(self._control.recv(MESSAGE_BYTES_MAX))

    def may_fork(self, environment: Mapping[str, str]) -> bool:
        """Whether a process that is executed with *environment* would load the same."""
        early = _read_early(environment)
        return early.pop(_WARNINGS, _SHOW_THEM) == _SHOW_THEM and early == self._early

    def close(self) -> None:
        """End the process that forks; its children go on."""
        self._ends.close()

    def _started(self) -> socket.socket:
        control, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with tempfile.TemporaryFile() as errors:
            with other:
                process = subprocess.Popen(
                    [sys.executable, "-c", _SERVE, str(other.fileno()), str(os.getpid())],
                    cwd=ROOT,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    pass_fds=[other.fileno()],
                )
            self._ends.callback(process.wait, ENDING_SECONDS_MAX)
            self._ends.enter_context(control)
            if control.recv(MESSAGE_BYTES_MAX) != READY:
                errors.seek(0)
                raise RuntimeError(f"the fork server did not start:\n{errors.read().decode()}")
        return control


_server: ForkServer | None = None
_reaper: Final = threading.Lock()


class Popen(subprocess.Popen[AnyStr]):
    """`subprocess.Popen`, which forks what it can."""

    def _execute_child(self, *given: Any) -> None:  # noqa: ANN401 - as the original has it
        """Start the process. The original takes the options and the pipes that it has opened."""
        execute = super()._execute_child  # type: ignore[misc]  # not public
        options = inspect.signature(execute).bind(*given).arguments
        server = _server
        start = None if server is None else _start_of(options, server)
        if server is None or start is None:
            execute(*given)
            return
        pipes = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        try:
            self.pid = server.fork(start, _descriptors(options))
            self._child_created = True
        finally:
            self._close_pipe_fds(*(options[name] for name in pipes))  # type: ignore[attr-defined]  # as above


def run(
    command: Sequence[str], *, env: Mapping[str, str], seconds_max: float | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run *command* to its end, and catch what it writes."""
    with Popen[str](
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=env
    ) as process:
        try:
            printed, errors = process.communicate(timeout=seconds_max)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, printed, errors)


@contextmanager
def forking() -> Iterator[None]:
    """Let `Popen` fork until the block ends."""
    global _server  # noqa: PLW0603 - who starts a process need not know of it
    if sys.platform != "linux":
        yield
        return
    _server = ForkServer(os.environ)
    try:
        yield
    finally:
        _server.close()
        _server = None


def fork_children(control: socket.socket, environment: Mapping[str, str]) -> None:
    """Let this process, which was forked itself, fork what it starts."""
    global _server  # noqa: PLW0603 - as above
    _server = ForkServer(environment, control)
    subprocess.Popen = Popen  # type: ignore[misc]  # the product knows nothing of a fork server


@contextmanager
def _taking_in_orphans() -> Iterator[None]:
    """Become the parent of what loses its own meanwhile, as a forked process does."""
    libc = ctypes.CDLL(None, use_errno=True)
    with _reaper:
        if libc.prctl(_SUBREAPER, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")
        try:
            yield
        finally:
            libc.prctl(_SUBREAPER, 0, 0, 0, 0)


def _start_of(options: Mapping[str, Any], server: ForkServer) -> Start | None:
    """What to fork; None if it must be executed."""
    if not _is_plain(options):
        return None
    folder = os.fspath(options["cwd"] or Path.cwd())
    environment = dict(os.environ if options["env"] is None else options["env"])
    words, when_told = list(map(os.fspath, options["args"])), False
    match words:
        case ["/bin/sh", "-c", script, line] if script == START_WHEN_TOLD:
            typed, when_told = _typed("", line, environment, folder), True
        case ["/bin/sh", "-c", script] if match := _LINE_OF_SHELL.fullmatch(script):
            typed = _typed(match[1], match[2], environment, folder)
        case _:
            typed = words, environment
    if typed is None:
        return None
    words, environment = typed
    known = _known(words, environment.get("PATH"))
    if known is None or not server.may_fork(environment):
        return None
    new_session = options["start_new_session"]
    return Start(known, environment, folder, _mask(), new_session, when_told)


def _is_plain(options: Mapping[str, Any]) -> bool:
    """Whether no option is given that the fork server does not know, and no terminal."""
    usual = {"executable": None, "preexec_fn": None, "shell": False, "pass_fds": (), "umask": -1}
    usual |= {"close_fds": True, "gid": None, "gids": None, "uid": None, "process_group": -1}
    return (
        not isinstance(options["args"], str | bytes | os.PathLike)
        and all(options[name] == value for name, value in usual.items())
        and not any(map(os.isatty, _descriptors(options)))
    )


def _descriptors(options: Mapping[str, Any]) -> list[int]:
    """What the process gets as 0, 1 and 2: its own, or that of who starts it."""
    given = (options["p2cread"], options["c2pwrite"], options["errwrite"])
    return [number if own == -1 else own for number, own in enumerate(given)]


def _typed(
    before: str, command: str, environment: Mapping[str, str], folder: str
) -> tuple[list[str], dict[str, str]] | None:
    """The words and the environment with which a shell executes *command*, after *before*."""
    answer = subprocess.run(
        ["/bin/sh", "-c", f"{before}set -- {command}\n{_ASK_SHELL}"],
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if answer.returncode or answer.stderr:
        return None  # the shell itself will say why
    count, *rest = os.fsdecode(answer.stdout).split("\0")[:-1]
    variables = (entry.partition("=") for entry in rest[int(count) :])
    return rest[: int(count)], {name: value for name, _, value in variables}


def _known(words: Sequence[str], path: str | None) -> list[str] | None:
    """The command as Python would be called with; None if it is no program of ours."""
    program = shutil.which(words[0], path=path)
    if program is None or Path(program).parent != PROGRAMS:
        return None
    rest = [*words[1:]] if Path(program).name.startswith("python") else [program, *words[1:]]
    known = any(tuple(rest[: len(start)]) == start for start in _KNOWN)
    return [sys.executable, *rest] if known else None


def _read_early(environment: Mapping[str, str]) -> dict[str, str]:
    early = {n: value for n, value in environment.items() if not _READ_LATE.fullmatch(n)}
    if early.get("PYTHONPATH") == str(ROOT):
        del early["PYTHONPATH"]  # where the modules come from in any case
    return early


def _mask() -> int:
    """The mask for new files, which cannot be asked for without changing it."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (mask,) = re.findall(r"^Umask:\s+(\d+)$", status, re.MULTILINE)
    return int(mask, 8)
