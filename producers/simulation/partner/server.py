"""The simulated partner: in a thread for tests and demo, or as a process for trying things out."""

import asyncio
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from producers.simulation.partner.behaviour import Rule, Script
from producers.simulation.partner.call import Speech
from producers.simulation.partner.connection import PartnerHost, converse
from producers.simulation.partner.fault_injection import OutgoingLine
from producers.simulation.partner.http import HEAD_BYTES_MAX
from producers.simulation.partner.ledger import ENTRIES_MAX, Ledger, LedgerEntry
from producers.simulation.partner.pam import SimulatedPam
from producers.simulation.partner.wallet import Wallet
from producers.simulation.verdict import Verdict, judge_all
from producers.wall_clock import utc_now

CONNECTIONS_MAX = 2000
BACKLOG = 1024
THREAD_SECONDS_MAX = 10.0  # to start, and to stop
TURNS_TO_BE_WELCOME = 8  # of the loop, from accepted to its conversation; one has been enough


class SimulatedPartner:
    """A partner on real sockets, in a thread of its own: `with SimulatedPartner(secret=...) as p:`.

    It verifies every signature, keeps what it received in `ledger`, and answers 200 unless told
    to `behave` otherwise. With *deduplicate* it acts upon each `Idempotency-Key` once. It is a PAM
    platform with this *secret*, or the seamless *wallet*, which acts upon each call once anyway.
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
        self._house = PartnerHost(
            speech=_speech(secret, wallet),
            now=now,
            ledger=self.ledger,
            script=self._script,
            deduplicate=deduplicate or wallet is not None,
            on_request=on_request,
        )
        self._host = host
        self._port = port
        self._end: Callable[[], object] | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where notices are to be sent: `http://127.0.0.1:PORT/`."""
        return url_of(self._host, self._port)

    @property
    def port(self) -> int:
        """The port it listens on (0 before it was started, if none was asked for)."""
        return self._port

    def behave(self, rule: Rule) -> None:
        """Add a rule to the script; of the rules that fit a request the newest applies."""
        self._script.add(rule)

    def behave_well(self) -> None:
        """Forget all rules: every request is answered with 200 again."""
        self._script.clear()

    def rules(self) -> tuple[Rule, ...]:
        """Return the rules in force, the newest first."""
        return self._script.rules()

    def verdict(self, *, close_delay: timedelta, complete: bool = True) -> Verdict:
        """Judge every ticket's sequence so far; *complete*: each result must have its close."""
        return judge_all(self.ledger.entries(), close_delay=close_delay, complete=complete)

    def start(self) -> None:
        """Listen. A stopped partner comes back on the port it had. OSError if the port is taken."""
        started: Future[int] = Future()
        self._thread = threading.Thread(
            target=self._live, args=[started], name="simulated-partner", daemon=True
        )
        self._thread.start()
        self._port = started.result(timeout=THREAD_SECONDS_MAX)

    def stop(self) -> None:
        """Break off whatever connection is open, and refuse new ones; the ledger stays readable."""
        if self._end is None or self._thread is None:
            return
        self._end()
        self._end = None
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

    def _live(self, started: Future[int]) -> None:
        try:
            asyncio.run(self._serve(started))
        except BaseException as flaw:
            if started.done():
                raise
            started.set_exception(flaw)  # the starting thread raises it

    async def _serve(self, started: Future[int]) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._end = lambda: loop.call_soon_threadsafe(stop.set)
        await serve(
            self._house, host=self._host, port=self._port, ready=started.set_result, stop=stop
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
    """Be the partner in this process until SIGINT or SIGTERM; to be called in the main thread.

    *on_ready* is told the URL once it listens, *on_request* each request once it is over
    (`Entry.in_words` makes a line of it). OSError when the port is taken.
    """
    house = PartnerHost(
        speech=_speech(secret, wallet),
        now=utc_now,
        ledger=Ledger(),
        script=Script(for_wallet=wallet is not None),
        deduplicate=deduplicate or wallet is not None,
        on_request=on_request,
    )

    async def live() -> None:
        stop = asyncio.Event()
        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        await serve(
            house,
            host=host,
            port=port,
            ready=lambda taken: on_ready(url_of(host, taken)),
            stop=stop,
        )

    asyncio.run(live())


async def serve(
    house: PartnerHost, *, host: str, port: int, ready: Callable[[int], None], stop: asyncio.Event
) -> None:
    """Listen until *stop* is set, then break off what is open. *ready* is told the port."""
    conversations: set[asyncio.Task[object]] = set()

    async def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = asyncio.current_task()
        if conversation is None or len(conversations) >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        conversations.add(conversation)
        try:
            await converse(house, OutgoingLine(reader, writer))
            writer.close()
            await writer.wait_closed()  # what the client has not read yet is still to go out
        except OSError:
            writer.transport.abort()  # the client broke off
        except asyncio.CancelledError:
            writer.transport.abort()  # stopping: nobody waits for this task, so it ends here
        finally:
            conversations.discard(conversation)
            writer.close()  # also where the conversation itself went wrong

    server = await asyncio.start_server(welcome, host, port, limit=HEAD_BYTES_MAX, backlog=BACKLOG)
    async with server:
        ready(server.sockets[0].getsockname()[1])
        await stop.wait()
        # Accept nobody more, and let who was accepted come in: closing would leave them half open.
        for listener in server.sockets:
            asyncio.get_running_loop().remove_reader(listener)
        for _ in range(TURNS_TO_BE_WELCOME):
            await asyncio.sleep(0)
        server.close()
        for conversation in conversations:
            conversation.cancel()
        if conversations:
            await asyncio.wait(conversations)


def url_of(host: str, port: int) -> str:
    """Write the address of a partner at *host*, which may be IPv6."""
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _speech(secret: str | None, wallet: Wallet | None) -> Speech:
    if wallet is not None:
        return wallet
    if secret is None:
        raise ValueError("a PAM partner needs the secret to verify with; or give it a wallet")
    return SimulatedPam(secret)
