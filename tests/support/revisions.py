"""Reads a revision file and says what in it would hurt a release that still works, or stop it.

While a release rolls out, the processes of the one before work on, on the new schema and while it
is made. So a revision adds what they need not know of, and blocks no session. One that takes
away says since which release nothing uses it any more: `UNUSED_SINCE = "0.2.0"`.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from models.migrations.online import SMALL

# The names of the tables that each step locks, by their places among its arguments.
ADDS: Final[Mapping[str, tuple[int, ...]]] = {
    "add_column": (0,),
    "create_check_constraint": (1,),
    "create_foreign_key": (1,),  # and the one it leads to: that cannot be helped
    "widen_check": (1,),
    "drop_narrower_unique": (1,),  # a wider unique index is there; online.py looks
    "rewrite_small": (0,),
}
ON_NEW_TABLES: Final = {"create_index": 1, "create_unique_constraint": 1, "bulk_insert": 0}
# Of transactions: models.migrations.online. A wider index serves what the narrower one did.
OUTSIDE: Final = {
    "build_index",
    "validate",
    "drop_narrower_index",
    "drop_replaced_index",
    "drop_unused_index",
}
HARMLESS: Final = {"create_table", "f", "get_bind"}
OF_ONLINE: Final = OUTSIDE | {"widen_check", "rewrite_small", "drop_narrower_unique"}
# Other for each row: adding such a column rewrites the whole table, under its lock.
NOT_ONE_VALUE: Final = re.compile(r"random|uuid|clock_timestamp|nextval", re.IGNORECASE)
NOT_IN_A_COLUMN: Final = {"ForeignKey", "Identity", "Computed", "CheckConstraint"}
VERSION: Final = re.compile(r"(\d+)\.(\d+)\.(\d+)")


@dataclass(slots=True)
class Revision:
    """What a revision's source says it does."""

    tree: ast.Module
    steps: list[tuple[str, ast.Call]] = field(default_factory=list)

    @classmethod
    def read(cls, source: str) -> "Revision":
        """Find the steps: `op.this()`, `that()` of the module `online`, `anything.execute()`."""
        revision = cls(ast.parse(source))
        for node in ast.walk(revision.tree):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="op"), attr=name)):
                    revision.steps.append((name, node))
                case ast.Call(func=ast.Name(id=name)) if name in OF_ONLINE:
                    revision.steps.append((name, node))
                case ast.Call(func=ast.Attribute(attr="execute" as name)):
                    revision.steps.append((name, node))
        return revision

    @property
    def new_tables(self) -> set[str]:
        """The tables it creates."""
        return {_word(step, 0) for name, step in self.steps if name == "create_table"}

    def is_earlier(self, other: str | None) -> bool:
        """Return whether *other* is the number of a revision before this one."""
        if other is None or re.fullmatch(r"\d{4}", other) is None:
            return False
        return other < self.number

    @property
    def number(self) -> str:
        """Its number; empty where it names none."""
        for node in self.tree.body:
            match node:
                case ast.Assign(
                    targets=[ast.Name(id="revision")], value=ast.Constant(value=str(number))
                ):
                    return number
        return ""

    @property
    def unused_since(self) -> str | None:
        """The release since which nothing uses what it takes away; None: it only adds."""
        for node in self.tree.body:
            match node:
                case ast.Assign(
                    targets=[ast.Name(id="UNUSED_SINCE")], value=ast.Constant(value=str(release))
                ):
                    return release
        return None


def faults(source: str, *, release: str) -> list[str]:
    """What is wrong with a revision of *release*; empty when nothing is."""
    revision = Revision.read(source)
    problems = [] if ast.get_docstring(revision.tree) else ["says nothing: its docstring is shown"]
    if revision.unused_since is not None:
        problems += _too_early(revision.unused_since, release)
    for name, step in revision.steps:
        words = _faults_of(name, step, revision)
        problems += [f"line {step.lineno}: {name} {word}" for word in words]
    return problems + list(_together(revision))


def _too_early(unused_since: str, release: str) -> list[str]:
    since, now = VERSION.fullmatch(unused_since), VERSION.match(release)
    assert now, f"{release} is a version"
    if since is None:
        return [f"UNUSED_SINCE {unused_since!r} is not a version"]
    if tuple(map(int, since.groups())) < tuple(map(int, now.groups())):
        return []
    return [f"UNUSED_SINCE {unused_since}: the release before {release} still uses it"]


def _faults_of(name: str, step: ast.Call, revision: Revision) -> Iterator[str]:
    match name:
        case "add_column":
            yield from _faults_of_column(step)
        case "create_check_constraint" | "create_foreign_key":
            if not _is(step, "postgresql_not_valid", value=True):
                yield "reads the whole table: postgresql_not_valid=True, then validate() later"
        case "rewrite_small" if _word(step, 0) not in SMALL:
            yield "writes a table that may have millions of rows: in code, in batches"
        case _ if name in ON_NEW_TABLES:
            if _word(step, ON_NEW_TABLES[name]) not in revision.new_tables:
                yield "stops all writers of a table that is in use: build_index(), or in code"
        case "drop_unused_index" if not revision.is_earlier(_given(step, "since")):
            yield "says no earlier revision since which no code uses it"
        case _ if name in ADDS or name in OUTSIDE or name in HARMLESS:
            return
        case _ if revision.unused_since is None:
            yield "may take away what old processes use; if none does, say UNUSED_SINCE"


def _faults_of_column(step: ast.Call) -> Iterator[str]:
    match step.args[1:2]:
        case [ast.Call(func=ast.Attribute(attr="Column")) as column]:
            pass
        case _:
            yield "hides its column: write sa.Column(...) in place"
            return
    default = next(
        (keyword.value for keyword in column.keywords if keyword.arg == "server_default"), None
    )
    if _is(column, "nullable", value=False) and default is None:
        yield "wants a value that old processes do not give: nullable, or a server_default"
    if default is not None and NOT_ONE_VALUE.search(ast.unparse(default)):
        yield "has a default that differs by row: it rewrites the whole table"
    if any(_is(column, name, value=True) for name in ("index", "unique", "primary_key")):
        yield "builds an index under its lock: build_index() in a later revision"
    inner = {ast.unparse(call.func).rpartition(".")[2] for call in _calls(column)}
    for name in sorted(inner & NOT_IN_A_COLUMN):
        yield f"has a {name} in it: a step of its own (NOT VALID, then validate())"


def _together(revision: Revision) -> Iterator[str]:
    """What each step may do, but not all of them in one revision."""
    names = {name for name, _ in revision.steps} - {"f"}
    if names & OUTSIDE and names - OUTSIDE:
        mixed = ", ".join(sorted(names - OUTSIDE))
        yield f"{mixed}: done twice if it is killed while building: indexes apart, by themselves"
    locked = {
        _word(step, place) for name, step in revision.steps for place in ADDS.get(name, ())
    } | {
        table for name, step in revision.steps if name == "create_table" for table in _refers(step)
    }
    old = sorted(locked - revision.new_tables)
    if len(old) > 1:
        yield f"locks {', '.join(old)}: who waits for the second keeps the first; a revision each"


def _refers(step: ast.Call) -> Iterator[str]:
    """The tables a new table's foreign keys lead to."""
    for call in _calls(step):
        kind = ast.unparse(call.func).rpartition(".")[2]
        if kind in {"ForeignKey", "ForeignKeyConstraint"}:
            target = call.args[0 if kind == "ForeignKey" else 1]
            for node in ast.walk(target):
                match node:
                    case ast.Constant(value=str(column)):
                        yield column.partition(".")[0]


def _calls(step: ast.Call) -> Iterator[ast.Call]:
    for node in ast.walk(step):
        if isinstance(node, ast.Call) and node is not step:
            yield node


def _is(step: ast.Call, name: str, *, value: bool) -> bool:
    return any(
        keyword.arg == name
        and isinstance(keyword.value, ast.Constant)
        and keyword.value.value is value
        for keyword in step.keywords
    )


def _given(step: ast.Call, name: str) -> str | None:
    """The text that a step is given under a name."""
    for keyword in step.keywords:
        match keyword:
            case ast.keyword(arg=given, value=ast.Constant(value=str(word))) if given == name:
                return word
    return None


def _word(step: ast.Call, place: int) -> str:
    match step.args[place : place + 1]:
        case [ast.Constant(value=str(word))]:
            return word
        case _:
            return f"something that line {step.lineno} does not name in place"
