"""Two deliverers and one partner over real HTTP: one can be kept waiting while the other works."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from producers.simulation.partner import CloseWithoutAnswer, Respond, Rule, SimulatedPartner
from tests.support.delivery_setup import RUN_MAX, DeliverySetup
from worker.delivery.loop import DeliveryLoop, DeliveryRun

OPERATOR = "acme"
TICKET = "t"
TIMEOUT = timedelta(seconds=60)  # real time, in which a test does what it does while one waits


@dataclass(frozen=True, slots=True)
class TwoDeliverers:
    """Delivery loops 0 and 1, in threads of their own."""

    delivery: DeliverySetup
    partner: SimulatedPartner
    loops: tuple[DeliveryLoop, ...]
    threads: ThreadPoolExecutor

    def publish(self, *actions: str) -> None:
        """Apply these events to the one ticket, `win` for `ticket_win`."""
        self.delivery.publish(OPERATOR, *((f"ticket_{action}", TICKET) for action in actions))

    def answers(self, *answers: Respond | CloseWithoutAnswer) -> None:
        """The first request gets the first of *answers*, and so on; the rest is accepted."""
        for answer in reversed(answers):
            self.partner.behave(Rule(answer, first=1))

    def answer(self, running: "Future[DeliveryRun | None]") -> Mapping[str, int]:
        """Let the partner send its oldest late answer, and *running* end; what it did."""
        self.partner.answer_now()
        done = running.result()
        assert done is not None
        return done.counts

    def run(self, number: int) -> dict[str, int]:
        """Let a delivery loop deliver until nothing is due."""
        done = self.loops[number].run(lasting=RUN_MAX)
        assert done is not None
        return dict(done.counts)

    def start(self, number: int, *, requests: int) -> "Future[DeliveryRun | None]":
        """Let a loop run; return when the partner has received this many requests in all."""
        running: Future[DeliveryRun | None] = self.threads.submit(
            self.loops[number].run, lasting=RUN_MAX
        )
        self.partner.ledger.wait_until(lambda entries: len(entries) >= requests, seconds=60)
        return running

    def ends(self) -> list[str | None]:
        """How the notices ended, in their order."""
        rows = self.delivery.rows("SELECT ended FROM notice ORDER BY number")
        return [row.ended for row in rows]

    def sent(self) -> list[str]:
        """What the partner was sent, in order: `win` for `ticket_win`."""
        entries = self.partner.ledger.entries()
        return [(entry.action or "").removeprefix("ticket_") for entry in entries]


@contextmanager
def two_deliverers_on(
    delivery: DeliverySetup, partner: SimulatedPartner
) -> Iterator[TwoDeliverers]:
    """Run two loops on *delivery*; `acme` is *partner*'s operator."""
    delivery.operator(OPERATOR, partner.url)
    loops = tuple(delivery.delivery_loop(partner_timeout=TIMEOUT) for _ in range(2))
    with ThreadPoolExecutor(2) as threads:
        yield TwoDeliverers(delivery, partner, loops, threads)
