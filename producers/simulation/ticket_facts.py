"""Random facts of tickets, as backends know them (contracts 1.4, 1.5)."""

from collections.abc import Mapping
from random import Random
from types import MappingProxyType

TAXES_TENTHS = ((0, 0), (100, 125), (200, 125), (150, 75), (200, 0))  # (wht, ext), tenths of %
TICKET_TYPES = ("quickbet", "quicktip", "smartbet", "superbet")
CURRENCIES = ("EUR", "KES", "USD")
ID_STEP = 7_919  # a prime, as if others took ids from the same sequence
CODES = 1 << 24
CODE_STEP = 0x9E3779  # odd, so that multiples visit all codes before one repeats

VOID_AMOUNTS = (
    "price",
    "stake",
    "wht_amount",
    "wht",
    "ext_amount",
    "ext",
    "ext_type",
    "gross_payout",
    "net_payout",
)

Data = Mapping[str, object]


class TicketFactory:
    """Generates facts of different tickets; the same seed gives the same ones."""

    def __init__(self, rng: Random) -> None:
        """Take all random values from *rng*."""
        self._rng = rng
        self._next_id = rng.randrange(10**18, 9 * 10**18)
        self._next_code = rng.randrange(CODES)

    def ticket_facts(self, operator: str) -> Data:
        """Return the fields of a new ticket in the order of `ticket_create`.

        Amounts are integers in the minor unit, taxes float percentages; the relations between them
        are those of the contract's samples. Ids are different numbers of 19 digits.
        """
        rng = self._rng
        self._next_id += ID_STEP
        self._next_code = (self._next_code + CODE_STEP) % CODES
        wht, ext = rng.choice(TAXES_TENTHS)
        price, odds = rng.randrange(50, 20_000, 50), rng.randrange(105, 4_000)
        return MappingProxyType(
            {
                "operator": operator,
                "ticket_id": str(self._next_id),
                "ticket_code": f"{self._next_code:06X}",
                "player_id": f"player-{rng.randrange(1, 5_000)}",
                **amounts(price, odds_hundredths=odds, wht_tenths=wht, ext_tenths=ext),
                "currency": rng.choice(CURRENCIES),
                "atag": rng.choice((None, "affiliate-1", "affiliate-2")),
                "rtag": None,
                "ticket_type": rng.choice(TICKET_TYPES),
            }
        )


def amounts(
    price: int, *, odds_hundredths: int, wht_tenths: int, ext_tenths: int
) -> dict[str, object]:
    """Return the amounts of a ticket that costs *price*; taxes are in tenths of a percent.

    The relations are those of both samples of contracts 1.5, without floats in between.
    """
    stake = _divide(price * 1000, 1000 + ext_tenths)
    gross = _divide(stake * odds_hundredths, 100)
    wht_amount = _divide(wht_tenths * (gross - stake), 1000)
    return {
        "price": price,
        "stake": stake,
        "wht_amount": wht_amount,
        "wht": wht_tenths / 10,
        "ext_amount": price - stake,
        "ext": ext_tenths / 10,
        "ext_type": "inclusive",
        "gross_payout": gross,
        "net_payout": gross - wht_amount,
    }


def ticket_reference(facts: Data) -> dict[str, object]:
    """Return the fields of every action: operator and ticket id."""
    return {"operator": facts["operator"], "ticket_id": facts["ticket_id"]}


def void_data(facts: Data) -> dict[str, object]:
    """Return the fields of `ticket_void`: the whole price is paid back, nothing is withheld."""
    paid_back = {"wht_amount": 0, "gross_payout": facts["price"], "net_payout": facts["price"]}
    return ticket_reference(facts) | {name: facts[name] for name in VOID_AMOUNTS} | paid_back


def _divide(dividend: int, divisor: int) -> int:
    """Divide whole, non-negative numbers, rounding half up: exact cents without a float."""
    return (2 * dividend + divisor) // (2 * divisor)
