"""What a partner can be told to do with a request, and the script that says with which."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

SUCCESS = range(200, 300)
RULES_MAX = 1000
TICKETS_COUNTED_MAX = 1_000_000  # per rule: bounds what "the first n of each ticket" remembers
HUGE_BYTES = 10 * 1024**3


@dataclass(frozen=True, slots=True)
class Respond:
    """Answer with a whole response after *seconds*.

    *taken*: whether the partner acts upon the notice; unless said, a status of 2xx does.
    """

    status: int = 200
    seconds: float = 0.0
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    then_close: bool = False  # without having said `Connection: close`
    taken: bool | None = None

    @property
    def takes(self) -> bool:
        """The partner acts upon the notice."""
        return self.status in SUCCESS if self.taken is None else self.taken


@dataclass(frozen=True, slots=True)
class RespondAsWallet:
    """Answer as a seamless wallet does, after *seconds* (contracts: AMBSlot 2.3).

    *taken*: whether it acts upon the call; unless said, code 0 does. *ref_id* stands where the
    `transactionId` belongs; *off_by* is added to the balance that it says it has afterwards.
    """

    code: int = 0
    message: str | None = None
    status: int = 200
    seconds: float = 0.0
    taken: bool | None = None
    ref_id: str | None = None
    off_by: Decimal = Decimal(0)

    @property
    def takes(self) -> bool:
        """The wallet acts upon the call."""
        return self.code == 0 if self.taken is None else self.taken


@dataclass(frozen=True, slots=True)
class HangAfterAccept:
    """Accept the connection and read nothing. Concerns connections, so it has no action."""


@dataclass(frozen=True, slots=True)
class Hang:
    """Read the request and never answer."""


@dataclass(frozen=True, slots=True)
class HangMidBody:
    """Send the head of a success and half of its body, then nothing. Takes the notice."""

    length: int = 1000


@dataclass(frozen=True, slots=True)
class HugeBody:
    """Answer with a success whose body has *length* bytes, as fast as the client reads."""

    length: int = HUGE_BYTES


@dataclass(frozen=True, slots=True)
class Drip:
    """Answer with a success, one byte of its body every *seconds*."""

    length: int = 1000
    seconds: float = 0.1


@dataclass(frozen=True, slots=True)
class CloseWithoutAnswer:
    """Read the request and hang up. *taken*: the partner acted on it, its answer is lost."""

    taken: bool = False


Deed = Respond | HangAfterAccept | Hang | HangMidBody | HugeBody | Drip | CloseWithoutAnswer
"""What can be done on a socket."""

Behaviour = Deed | RespondAsWallet


@dataclass(frozen=True, slots=True)
class Rule:
    """When a behaviour applies: each condition that is given must hold.

    *first*: only so many times; with *per_ticket*, so many times for each ticket.
    """

    behaviour: Behaviour
    action: str | None = None
    ticket_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    first: int | None = None
    per_ticket: bool = False

    def __post_init__(self) -> None:
        """Refuse conditions that can't be known when a connection is accepted."""
        about_a_request = self.action or self.ticket_id or self.per_ticket
        if isinstance(self.behaviour, HangAfterAccept) and about_a_request:
            raise ValueError("hang_after_accept reads no request: give it no action and no ticket")
        if self.per_ticket and self.first is None:
            raise ValueError("per_ticket counts what `first` limits: give `first` as well")


@dataclass(slots=True)
class Script:
    """The rules in force. Of those that fit, the one added last applies."""

    for_wallet: bool = False
    _rules: list[tuple[Rule, Counter[str]]] = field(default_factory=list)

    def add(self, rule: Rule) -> None:
        """Add *rule* on top. ValueError when there are 1,000, or it is not for this protocol."""
        if isinstance(rule.behaviour, RespondAsWallet) and not self.for_wallet:
            raise ValueError("codes, refId and balances are a wallet's; this partner speaks PAM")
        if len(self._rules) >= RULES_MAX:
            raise ValueError(f"the script has {RULES_MAX} rules already; clear it first")
        self._rules = [(rule, Counter()), *self._rules]  # a new list: others may be reading

    def clear(self) -> None:
        """Forget all rules: the partner behaves again."""
        self._rules = []

    def rules(self) -> tuple[Rule, ...]:
        """Return the rules, the one that is asked first in front."""
        return tuple(rule for rule, _ in self._rules)

    def at_accept(self, now: datetime) -> HangAfterAccept | None:
        """Choose for a connection that was just accepted; None: read its requests."""
        for rule, used in self._rules:
            if isinstance(rule.behaviour, HangAfterAccept) and _applies(rule, used, "", now):
                return rule.behaviour
        return None

    def choose(
        self, *, action: str | None, ticket_id: str | None, now: datetime
    ) -> Behaviour | None:
        """Choose for a request; None: no rule fits it."""
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
    """Check time and count, and count this use if it is one."""
    if (rule.since and now < rule.since) or (rule.until and now >= rule.until):
        return False
    if rule.first is None:
        return True
    counted = ticket_id if rule.per_ticket else ""
    if used[counted] >= rule.first or len(used) > TICKETS_COUNTED_MAX:
        return False
    used[counted] += 1
    return True
