"""Personal data: players and amounts, which viewers do not see."""

from collections.abc import Mapping
from typing import Any, Final

from markupsafe import Markup

from models.events.format import MONEY_FIELDS
from models.users import Role
from worker.console.display.foreign_text import NOTHING, visible

MASK: Final = "•••"
# As events, bodies and lottery messages call them; and what a partner or a person wrote freely.
PERSONAL_NAMES: Final = frozenset(
    {*MONEY_FIELDS, "player_id", "user_id", "userId", "playerId", "amount", "balance", "payout"}
    | {"answer", "message", "problem", "why"}
)
_MASKED: Final = Markup('<span class="masked" title="Hidden: needs the role support">{}</span>')


def sees_personal(role: Role) -> bool:
    """Return whether a user of *role* sees players and amounts."""
    return role.allows(Role.SUPPORT)


def personal(role: Role, content: object) -> Markup:
    """Return *content* as HTML, or a mask for a viewer; a dash where there is none."""
    if content is None:
        return NOTHING
    return visible(str(content)) if sees_personal(role) else _MASKED.format(MASK)


def mask_personal(role: Role, content: Any) -> Any:  # noqa: ANN401 - JSON
    """Return JSON *content* with personal values masked for a viewer, at any depth."""
    if sees_personal(role):
        return content
    return _masked(content)


def _masked(content: Any) -> Any:  # noqa: ANN401 - JSON
    match content:
        case Mapping():
            return {
                name: MASK if name in PERSONAL_NAMES and inner is not None else _masked(inner)
                for name, inner in content.items()
            }
        case list():
            return [_masked(inner) for inner in content]
        case _:
            return content
