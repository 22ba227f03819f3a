"""The process behind `tests.support.fork_server`: it loads the product's modules, then forks.

It starts no thread, connects to nothing and reads no settings: a child differs from a program that
was executed in nothing but the time that loading takes.
"""

import gc
import json
import os
import signal
import socket
import sys
import tempfile
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import CodeType
from typing import Any, Final, cast

from tests.support.fork_server import MESSAGE_BYTES_MAX, READY, ROOT, Start, fork_children

DESCRIPTORS_MAX: Final = 1_024  # it has some ten
ERRORS_BYTES_MAX: Final = 1 << 20
# In this order: what is to be loaded without its optional parts comes first. `worker.app` and what
# needs it read settings, and are loaded by each child itself.
MODULES: Final = (
    *("click", "celery.bin.worker", "celery.apps.worker", "celery.bin.beat"),
    *("celery.concurrency.thread", "celery.worker.consumer", "celery.apps.beat"),
    *("worker.celery.signals", "worker.celery.transport", "worker.celery.configuration"),
    *("worker.celery.needs", "worker.celery.wakeup", "worker.celery.beat", "flower.command"),
    *("models.database.engine", "models.tracing.tracer", "models.platform.encryption"),
    *("models.intake.apply", "worker.intake.loop", "worker.intake.reports"),
    *("worker.metrics.intake", "worker.metrics.delivery", "worker.metrics.sweep"),
    *("worker.delivery.loop", "worker.delivery.run_starter", "worker.delivery.wakeup_reader"),
    *("worker.sweep.round", "worker.sweep.stream_losses", "worker.metrics.collector"),
    *("models.sweeps.heartbeat", "uvicorn.main", "producers.gateway.app", "worker.console.app"),
)
COMMANDS: Final = ROOT / "worker" / "cli"


def serve() -> str | CodeType:
    """Fork for as long as somebody can ask. In a child: return what it is to execute."""
    control = socket.socket(fileno=int(sys.argv[1]))
    before = len(warnings.filters)
    for module in (*MODULES, *_commands()):
        import_module(module)
    filters_of_modules = len(warnings.filters) - before
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is meant for the others
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page
    control.send(READY)
    start, descriptors = _asked_for(control)
    _take_over(start, descriptors)
    if "PYTHONWARNINGS" in start.environment:
        _filter_warnings(place=filters_of_modules)
    return _program(start.words)


def _commands() -> Iterator[str]:
    """The modules of the command line, which it would load one by one."""
    for path in sorted(COMMANDS.rglob("*.py")):
        yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _asked_for(control: socket.socket) -> tuple[Start, list[int]]:
    """Fork whenever it is asked for. Returns in each child, with what it is to be."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, MESSAGE_BYTES_MAX, 3)
        if not message:
            sys.exit()
        if _fork(control):
            control.close()
            start = Start(**json.loads(message))
            if not start.starts_others:
                return start, descriptors
            control, others = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            if os.fork():
                control.close()
                fork_children(others, dict(os.environ))
                return start, [*descriptors, others.fileno()]
            others.close()  # this one forks what the other starts
        for descriptor in descriptors:
            os.close(descriptor)


def _fork(control: socket.socket) -> bool:
    """Fork a child whose parent is the one who asked; return whether this is the child.

    Its first parent ends at once, and the one who asked takes in what loses its parent meanwhile.
    The child waits until that has been done.
    """
    reading, telling = os.pipe()
    waiting, go = os.pipe()
    pipes = (reading, telling, waiting, go)
    between = os.fork()
    if between == 0:
        child = os.fork()
        if child:
            os.write(telling, str(child).encode())
            os._exit(0)
        os.close(go)
        os.read(waiting, 1)
        for descriptor in (reading, telling, waiting):
            os.close(descriptor)
        return True
    os.waitpid(between, 0)
    control.send(os.read(reading, 32))
    for descriptor in pipes:
        os.close(descriptor)
    return False


def _take_over(start: Start, descriptors: list[int]) -> None:
    """Become what was asked for. Of the descriptors, those beyond three are kept as they are."""
    warned = os.pread(2, ERRORS_BYTES_MAX, 0)
    for number, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, number)
    first = 3
    for kept in (*descriptors[3:], DESCRIPTORS_MAX):
        os.closerange(first, kept)
        first = kept + 1
    if start.new_session:
        os.setsid()
    os.umask(start.mask)
    os.chdir(start.folder)
    os.environ.clear()
    os.environ.update(start.environment)
    tempfile.tempdir = None
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.write(2, warned)  # what loading the modules wrote, an executed program writes, too
    if start.when_told:
        _wait_for_a_line()


def _wait_for_a_line() -> None:
    """Do as `worker.local.supervisor.child.START_WHEN_TOLD` does."""
    read = b""
    while read != b"\n":
        read = os.read(0, 1)
        if not read:
            os._exit(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def _filter_warnings(*, place: int) -> None:
    """Do what Python does with PYTHONWARNINGS=default, behind the filters of the modules."""
    sys.warnoptions.append("default")
    filters = cast("list[Any]", warnings.filters)
    warnings.filterwarnings("default", append=True)
    filters.insert(place, filters.pop())


def _program(words: list[str]) -> str | CodeType:
    """Set `sys.argv` as `python -m MODULE`, `-c CODE` or `python FILE` does; what it executes."""
    kind, *rest = words[1:]
    namespace = vars(sys.modules["__main__"])
    del namespace["serve"]
    sys.orig_argv = words
    if kind == "-m":
        sys.argv = [kind, *rest[1:]]
        sys.path[0] = str(Path.cwd())
        return f"import runpy; runpy._run_module_as_main({rest[0]!r})"
    sys.argv = [kind, *rest[1:]] if kind == "-c" else [kind, *rest]
    if kind == "-c":
        return rest[0]
    sys.path[0] = str(Path(kind).resolve().parent)
    namespace.update(__file__=kind, __cached__=None)
    return compile(Path(kind).read_bytes(), kind, "exec")
