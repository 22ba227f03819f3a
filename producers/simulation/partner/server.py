"""The simulated partner: in a thread for tests and demo, or as a process to try things out."""

import asyncio
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from models.settings.listening import host_and_port
from producers.simulation.partner.behaviour import Rule, Script
from producers.simulation.partner.connection import PartnerHost, serve_connection
from producers.simulation.partner.fault_injection import PartnerConnection
from producers.simulation.partner.http import HEAD_BYTES_MAX
from producers.simulation.partner.ledger import ENTRIES_MAX, Ledger, LedgerEntry
from producers.simulation.partner.pam import SimulatedPam
from producers.simulation.partner.protocol import PartnerProtocol
from producers.simulation.partner.wallet import Wallet
from producers.simulation.verdict import Verdict, check_all_sequences
from producers.wall_clock import utc_now

CONNECTIONS_MAX = 2000
BACKLOG = 1024
THREAD_SECONDS_MAX = 60.0  # to start, and to stop
ACCEPT_TURNS = 8  # of the event loop, until an accepted connection is served; one has been enough


class SimulatedPartner:
    """A partner on real sockets, in a thread of its own: `with SimulatedPartner(secret=...) as p:`.

    It verifies every signature, records what it received in `ledger`, and responds 200 unless
    `behave` says otherwise. With *deduplicate* it acts on each `Idempotency-Key` once. It is a PAM
    platform with this *secret*, or the seamless *wallet*, which acts on each call once anyway.
    """

    def __init__(
        self,
        *,
        secret: str | None = None,
        wallet: Wallet | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        deduplicate: bool = False,
        entries_max: int = ENTRIES_MAX,
        on_request: Callable[[LedgerEntry], None] | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """Port 0 takes a free one; *on_request* is called in the partner's thread."""
        self.ledger = Ledger(entries_max=entries_max)
        self._script = Script(for_wallet=wallet is not None)
        self._shared = PartnerHost(
            protocol=_protocol(secret, wallet),
            now=now,
            ledger=self.ledger,
            script=self._script,
            deduplicate=deduplicate or wallet is not None,
            on_request=on_request,
        )
        self._host = host
        self._port = port
        self._end: Callable[[], object] | None = None
        self._hurry: Callable[[], object] | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where to send notices: `http://127.0.0.1:PORT/`."""
        return url_of(self._host, self._port)

    @property
    def port(self) -> int:
        """The port it listens on (0 before it is started, unless one was given)."""
        return self._port

    def behave(self, rule: Rule) -> None:
        """Add a rule to the script; the newest rule that matches a request applies."""
        self._script.add(rule)

    def behave_well(self) -> None:
        """Remove all rules: every request is answered with 200 again."""
        self._script.clear()

    def rules(self) -> tuple[Rule, ...]:
        """Return the rules in force, the newest first."""
        return self._script.rules()

    def answer_now(self) -> None:
        """Send one response before its `seconds` are over: the oldest that waits, or the next."""
        if self._hurry is not None:
            self._hurry()

    def verdict(self, *, close_delay: timedelta, complete: bool = True) -> Verdict:
        """Check every ticket's sequence so far; *complete*: each result must have its close."""
        return check_all_sequences(
            self.ledger.entries(), close_delay=close_delay, complete=complete
        )

    def start(self) -> None:
        """Listen; after `stop` on the same port. Raises OSError if the port is taken."""
        started: Future[int] = Future()
        self._thread = threading.Thread(
            target=self._run, args=[started], name="simulated-partner", daemon=True
        )
        self._thread.start()
        self._port = started.result(timeout=THREAD_SECONDS_MAX)

    def stop(self) -> None:
        """Abort all open connections and refuse new ones; the ledger stays readable."""
        if self._end is None or self._thread is None:
            return
        self._end()
        self._end = self._hurry = None
        self._thread.join(timeout=THREAD_SECONDS_MAX)
        if self._thread.is_alive():
            raise TimeoutError(f"the partner's thread did not end within {THREAD_SECONDS_MAX} s")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self, started: Future[int]) -> None:
        try:
            asyncio.run(self._serve(started))
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)  # the starting thread raises it

    async def _serve(self, started: Future[int]) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._end = lambda: loop.call_soon_threadsafe(stop.set)
        self._hurry = lambda: loop.call_soon_threadsafe(self._shared.hurry.release)
        await serve(
            self._shared, host=self._host, port=self._port, ready=started.set_result, stop=stop
        )


def run(
    *,
    port: int,
    on_ready: Callable[[str], None],
    on_request: Callable[[LedgerEntry], None],
    secret: str | None = None,
    wallet: Wallet | None = None,
    host: str = "127.0.0.1",
    deduplicate: bool = False,
) -> None:
    """Run the partner in this process until SIGINT or SIGTERM; call it in the main thread.

    *on_ready* gets the URL once it listens, *on_request* each request once it is complete
    (`LedgerEntry.format_line` formats it). Raises OSError if the port is taken.
    """
    shared = PartnerHost(
        protocol=_protocol(secret, wallet),
        now=utc_now,
        ledger=Ledger(),
        script=Script(for_wallet=wallet is not None),
        deduplicate=deduplicate or wallet is not None,
        on_request=on_request,
    )

    async def serve_until_signal() -> None:
        stop = asyncio.Event()
        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        await serve(
            shared,
            host=host,
            port=port,
            ready=lambda taken: on_ready(url_of(host, taken)),
            stop=stop,
        )

    asyncio.run(serve_until_signal())


async def serve(
    shared: PartnerHost, *, host: str, port: int, ready: Callable[[int], None], stop: asyncio.Event
) -> None:
    """Listen until *stop* is set, then abort what is open. *ready* gets the port."""
    connections: set[asyncio.Task[object]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        if connection is None or len(connections) >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        connections.add(connection)
        try:
            await serve_connection(shared, PartnerConnection(reader, writer, shared.hurry))
            writer.close()
            await writer.wait_closed()  # sends what the client has not read yet
        except OSError:
            writer.transport.abort()  # the client aborted
        except asyncio.CancelledError:
            writer.transport.abort()  # stopping: nothing awaits this task, so it ends here
        finally:
            connections.discard(connection)
            writer.close()  # also after an unexpected error

    server = await asyncio.start_server(accept, host, port, limit=HEAD_BYTES_MAX, backlog=BACKLOG)
    async with server:
        ready(server.sockets[0].getsockname()[1])
        await stop.wait()
        # Stop accepting, but serve what was accepted: closing now would leave it half open.
        for listener in server.sockets:
            asyncio.get_running_loop().remove_reader(listener)
        for _ in range(ACCEPT_TURNS):
            await asyncio.sleep(0)
        server.close()
        for connection in connections:
            connection.cancel()
        if connections:
            await asyncio.wait(connections)


def url_of(host: str, port: int) -> str:
    """Format the URL of a partner at *host*, which may be IPv6."""
    return f"http://{host_and_port(host, port)}/"


def _protocol(secret: str | None, wallet: Wallet | None) -> PartnerProtocol:
    if wallet is not None:
        return wallet
    if secret is None:
        raise ValueError("a PAM partner needs a secret to verify signatures with; or pass a wallet")
    return SimulatedPam(secret)
