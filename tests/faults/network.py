"""The network between the processes of a trial and their servers, with a port for each line."""

import multiprocessing
from collections.abc import Callable, Coroutine, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar, cast

from tests.faults import relays
from tests.faults.relays import Line, Relays
from worker.local.servers.ports import LOOPBACK

CALL_SECONDS_MAX: Final = 60.0  # for the network's process to start, and to do what it is asked
LATENCY_SECONDS: Final = 2.0  # there and back

EVERYBODY: Final = "everybody"
# No fork: the process that lays the lines has threads, whose locks a copy would keep.
SPAWNING: Final = multiprocessing.get_context("spawn")
Words = ParamSpec("Words")
Result = TypeVar("Result")


@dataclass(slots=True)
class Network:
    """Lines that can be disturbed: `with Network() as network:`. For one thread.

    A process and a session of its own carry the bytes, so that no statement waits for the Python of
    the trial's partner and backends, or for their share of a busy machine.
    """

    _lines: set[Line] = field(default_factory=set)
    _pipe: Connection = field(init=False, repr=False)
    _process: SpawnProcess = field(init=False, repr=False)

    def __enter__(self) -> Self:
        """Begin to carry."""
        self._pipe, far_end = SPAWNING.Pipe()
        self._process = SPAWNING.Process(
            target=relays.keep, args=(far_end,), name="network", daemon=True
        )
        self._process.start()
        far_end.close()  # the other process has it; so its end is noticed here
        return self

    def __exit__(self, *_: object) -> None:
        """Close all connections."""
        self._pipe.close()
        self._process.join(CALL_SECONDS_MAX)
        self._process.kill()

    def lay(self, line: Line, host: str, port: int, *, near: str = LOOPBACK) -> int:
        """Lay a line to a server; the port at which it begins, on the address *near*."""
        begins = self._do(Relays.lay, line, (host, port), near)
        self._lines.add(line)
        return begins

    @property
    def lines(self) -> AbstractSet[Line]:
        """All lines that were laid."""
        return self._lines

    @contextmanager
    def partition(self, lines: Sequence[Line]) -> Iterator[None]:
        """Nothing passes and connecting hangs; what was under way arrives afterwards."""
        self._do(Relays.shut, lines)
        yield
        self._do(Relays.open, lines)

    @contextmanager
    def half_open(self, lines: Sequence[Line]) -> Iterator[None]:
        """Connections, old and new, stay open and carry nothing, for good; later ones work."""
        self._do(Relays.silence, lines)
        yield
        self._do(Relays.speak, lines)

    @contextmanager
    def latency(self, lines: Sequence[Line]) -> Iterator[None]:
        """Question and answer need 2 s for the way."""
        self._do(Relays.delay, lines, LATENCY_SECONDS / 2)
        yield
        self._do(Relays.delay, lines, 0.0)

    @contextmanager
    def detour(self, line: Line, port: int) -> Iterator[None]:
        """Lead a line to another port meanwhile; nothing that is under way is broken off."""
        straight = self._do(Relays.turn, line, port)
        yield
        self._do(Relays.turn, line, straight)

    @contextmanager
    def resets(self, lines: Sequence[Line]) -> Iterator[None]:
        """Reset all connections, and four times a second those that were opened since."""
        self._do(Relays.begin_resets, lines)
        yield
        self._do(Relays.end_resets)

    def _do(
        self,
        work: Callable[Concatenate[Relays, Words], Coroutine[Any, Any, Result]],
        *words: Words.args,
        **options: Words.kwargs,
    ) -> Result:
        """Have the network's process do *work*, and return its result."""
        self._pipe.send((work, words, options))
        assert self._pipe.poll(CALL_SECONDS_MAX), f"the network did not {work.__name__} in time"
        return cast("Result", self._pipe.recv())  # an EOFError: it has ended, and said why
