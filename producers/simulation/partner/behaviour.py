"""How a partner can handle a request, and the script that chooses for each request."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

SUCCESS_STATUSES = range(200, 300)
RULES_MAX = 1000
TICKETS_COUNTED_MAX = 1_000_000  # per rule: bounds what "the first n of each ticket" remembers
HUGE_BYTES = 10 * 1024**3


class Habit(StrEnum):
    """How a server writes a response that others write plainly: odd, but lawful."""

    GZIP = "gzip"
    DEFLATE = "deflate"
    FRAMED_BY_CLOSE = "framed by close"
    HTTP_1_0 = "HTTP/1.0"
    INTERIM = "interim"
    TRAILERS = "trailers"
    BYTE_ORDER_MARK = "byte order mark"
    UTF_16 = "UTF-16"
    CODE_AS_TEXT = "code as text"  # of a wallet


@dataclass(frozen=True, slots=True)
class Respond:
    """Send a complete response after *seconds*, in the form of the *habit*.

    *taken*: whether the partner acts on the notice; by default it does with a 2xx status.
    """

    status: int = 200
    seconds: float = 0.0
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    then_close: bool = False  # without having announced `Connection: close`
    taken: bool | None = None
    habit: Habit | None = None

    @property
    def takes(self) -> bool:
        """Whether the partner acts on the notice."""
        return self.status in SUCCESS_STATUSES if self.taken is None else self.taken


@dataclass(frozen=True, slots=True)
class RespondAsWallet:
    """Respond as a seamless wallet does, after *seconds* (contracts 2.3).

    *taken*: whether it acts on the call; by default it does with code 0. *ref_id* replaces the
    `transactionId`; *off_by* is added to the balance that it reports afterwards.
    """

    code: int = 0
    message: str | None = None
    status: int = 200
    seconds: float = 0.0
    taken: bool | None = None
    ref_id: str | None = None
    off_by: Decimal = Decimal(0)
    habit: Habit | None = None

    @property
    def takes(self) -> bool:
        """Whether the wallet acts on the call."""
        return self.code == 0 if self.taken is None else self.taken


@dataclass(frozen=True, slots=True)
class HangAfterAccept:
    """Accept the connection and read nothing. It applies to connections, so it has no action."""


@dataclass(frozen=True, slots=True)
class Hang:
    """Read the request and never respond."""


@dataclass(frozen=True, slots=True)
class HangMidBody:
    """Send the head of a success and half of its body, then nothing. The notice is taken."""

    length: int = 1000


@dataclass(frozen=True, slots=True)
class HugeBody:
    """Respond with a success whose body has *length* bytes, as fast as the client reads."""

    length: int = HUGE_BYTES


@dataclass(frozen=True, slots=True)
class Drip:
    """Respond with a success, one byte of its body every *seconds*."""

    length: int = 1000
    seconds: float = 0.1


@dataclass(frozen=True, slots=True)
class CloseWithoutAnswer:
    """Read the request and close the connection. *taken*: the partner acted on it first."""

    taken: bool = False


SocketBehaviour = (
    Respond | HangAfterAccept | Hang | HangMidBody | HugeBody | Drip | CloseWithoutAnswer
)
"""Behaviours that need no protocol."""

Behaviour = SocketBehaviour | RespondAsWallet


@dataclass(frozen=True, slots=True)
class Rule:
    """When a behaviour applies: all given conditions must hold.

    *first*: how many times at most; with *per_ticket*, how many times for each ticket.
    """

    behaviour: Behaviour
    action: str | None = None
    ticket_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    first: int | None = None
    per_ticket: bool = False

    def __post_init__(self) -> None:
        """Reject conditions that are not known when a connection is accepted."""
        about_a_request = self.action or self.ticket_id or self.per_ticket
        if isinstance(self.behaviour, HangAfterAccept) and about_a_request:
            raise ValueError("hang_after_accept reads no request: give it no action and no ticket")
        if self.per_ticket and self.first is None:
            raise ValueError("per_ticket counts what `first` limits: give `first` as well")


@dataclass(slots=True)
class Script:
    """The current rules. Of those that match, the one added last applies."""

    for_wallet: bool = False
    _rules: list[tuple[Rule, Counter[str]]] = field(default_factory=list)

    def add(self, rule: Rule) -> None:
        """Add *rule* on top. Raises ValueError for the 1,001st, or one of another protocol."""
        if isinstance(rule.behaviour, RespondAsWallet) and not self.for_wallet:
            raise ValueError("codes, refId and balances need a wallet; this is a PAM partner")
        if len(self._rules) >= RULES_MAX:
            raise ValueError(f"the script has {RULES_MAX} rules already; clear it first")
        self._rules = [(rule, Counter()), *self._rules]  # a new list: others may be reading

    def clear(self) -> None:
        """Remove all rules: the partner behaves again."""
        self._rules = []

    def rules(self) -> tuple[Rule, ...]:
        """Return the rules, newest first."""
        return tuple(rule for rule, _ in self._rules)

    def at_accept(self, now: datetime) -> HangAfterAccept | None:
        """Choose for a connection just accepted. Returns None if its requests are to be read."""
        for rule, used in self._rules:
            if isinstance(rule.behaviour, HangAfterAccept) and _applies(rule, used, "", now):
                return rule.behaviour
        return None

    def choose(
        self, *, action: str | None, ticket_id: str | None, now: datetime
    ) -> Behaviour | None:
        """Choose for a request. Returns None if no rule matches it."""
        for rule, used in self._rules:
            if (
                not isinstance(rule.behaviour, HangAfterAccept)
                and rule.action in {None, action}
                and rule.ticket_id in {None, ticket_id}
                and _applies(rule, used, ticket_id or "", now)
            ):
                return rule.behaviour
        return None


def _applies(rule: Rule, used: Counter[str], ticket_id: str, now: datetime) -> bool:
    """Check time and count; count this use if the rule applies."""
    if (rule.since and now < rule.since) or (rule.until and now >= rule.until):
        return False
    if rule.first is None:
        return True
    key = ticket_id if rule.per_ticket else ""
    if used[key] >= rule.first or len(used) > TICKETS_COUNTED_MAX:
        return False
    used[key] += 1
    return True
