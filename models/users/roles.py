"""What a person or a program may do: a role allows all that the ones before it allow."""

from enum import StrEnum


class Role(StrEnum):
    """The roles, from the least to the most."""

    VIEWER = "viewer"  # reads; players and amounts are masked
    SUPPORT = "support"  # works off tickets and notices
    OPERATIONS = "operations"  # changes partners and settings too

    @property
    def rank(self) -> int:
        """The role's place in the order."""
        return list(Role).index(self)

    def allows(self, needed: "Role") -> bool:
        """Return whether this role may do what needs *needed*."""
        return self.rank >= needed.rank
