"""What a partner's response may be, as statuses of HTTP and as codes of a wallet.

Delivery classifies by these (`worker/delivery/protocols`), and what partners are shown of it
(`models/outgoing`) is made from them.
"""

from collections.abc import Mapping
from typing import Final

# A front end gave up waiting, or the partner itself did, after it had the request: it may still act
# on it (rule 15). 520 to 524 are Cloudflare's.
GAVE_UP_WAITING: Final = frozenset({408, 502, 504, *range(520, 525)})

# The secret is wrong, or our address is not let in; nothing is wrong with the notice.
LOCKED_OUT: Final = frozenset({401, 403})

# A class of refusals, but not of this notice: it may be taken later.
LATER: Final = frozenset({425, 429})

# Of a wallet, contracts 2.4. With a code that is nowhere here (999 and 1600 to 1602, for instance)
# a retry may succeed.
DONE: Final = 0
REFUSALS: Final[Mapping[int, str]] = {
    800: "balance too low",
    908: "bad username or token",
    995: "bad game id",
    997: "bad request data",
    998: "bad agent id",
}
# Contracts 2.5: the response to a second call, from wallets that recognise it (900: AMBSlot's 806).
ALREADY_DONE: Final[Mapping[str, Mapping[int, str]]] = {
    "/cancel": {806: "duplicate round", 807: "already cancelled", 900: "round known already"},
    "/payout": {806: "duplicate round", 900: "round known already"},
}
