"""Describes an action that is not known: what was meant, or which ones there are."""

from typing import Final

from models.events.field_names import fold_name, is_typo
from models.vocabulary import INBOUND, Action

_OUTBOUND_ONLY: Final = "ticket_closed is sent by Slipway alone and never accepted"
_BY_SHORT_NAME: Final = {known.removeprefix("ticket_"): known for known in Action}


def unknown_action(action: str) -> str:
    """Describe an unknown action; if it is a typo of a known one, name that."""
    if action == Action.CLOSED:
        return _OUTBOUND_ONLY
    # A suggestion is only made for a typo: another guess may name an action that moves other money.
    near = [known for known in Action if is_typo(_last_word(action), known)]
    if near == [Action.CLOSED]:
        return f"action {action[:64]!r} is not known; {_OUTBOUND_ONLY}"
    if len(near) == 1:
        return f"action {action[:64]!r} is not known; did you mean {near[0]}?"
    known_actions = f"known are: {', '.join(INBOUND)}"
    if "cash" in fold_name(action[:64]):
        known_actions = f"a cash-out is ticket_win with net_payout; {known_actions}"
    return f"action {action[:64]!r} is not known; {known_actions}"


def _last_word(action: str) -> str:
    """Return the action in a task's name: `app.tasks.ticket_win`; `win` alone is ticket_win."""
    word = action[:64].rpartition(".")[2]
    return _BY_SHORT_NAME.get(fold_name(word), word)
