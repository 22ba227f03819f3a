"""What the roles and groups of another system mean here."""

from collections.abc import Iterable, Sequence

from models.users import Role


def mapped_role(theirs: Iterable[str], mapping: Sequence[tuple[str, str]]) -> Role | None:
    """Return the highest role that *theirs* stand for, or None if they stand for none."""
    names = set(theirs)
    roles = [Role(role) for name, role in mapping if name in names]
    return max(roles, key=lambda role: role.rank, default=None)


def names_in(claim: object) -> list[str]:
    """Return the names in a claim: a text, or a list of texts; anything else names nothing."""
    match claim:
        case str(name):
            return [name]
        case list(items):
            return [item for item in items if isinstance(item, str)]
        case _:
            return []
