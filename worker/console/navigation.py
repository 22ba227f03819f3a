"""The pages in the order of the menu. One without a route yet is not shown."""

from dataclasses import dataclass
from typing import Final

from models.users import Role


@dataclass(frozen=True, slots=True)
class MenuEntry:
    """One page of the menu, shown to users with *role*."""

    path: str
    label: str
    role: Role = Role.VIEWER


MENU: Final = (
    MenuEntry("/", "Overview"),
    MenuEntry("/notices", "Notices"),
    MenuEntry("/events", "Events"),
    MenuEntry("/partners", "Partners"),
    MenuEntry("/jobs", "Jobs"),
    MenuEntry("/history", "History"),
    MenuEntry("/erasures", "Erasures", Role.OPERATIONS),
    MenuEntry("/system", "System"),
)
