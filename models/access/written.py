"""An access as a person writes it: YAML with its secrets inline. No error holds a value of it.

Every value is a text, whatever it looks like, so a password of digits needs no quotes. Names that
are not known are not repeated either: they may be a secret in the wrong place.
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

import yaml
from pydantic import BaseModel, ValidationError

from models.access.given import (
    GivenAccess,
    GivenBasic,
    GivenCertificate,
    GivenClientCredentials,
    GivenHeader,
)
from models.access.values import Access
from models.platform.errors import InvalidError

_FILE: Final = "_file"
_SECRETS: Final = frozenset({"value", "password", "bearer", "client_secret", "passphrase"})
_PARTS: Final[Mapping[str, type[BaseModel]]] = {
    "headers": GivenHeader,
    "basic": GivenBasic,
    "oauth": GivenClientCredentials,
    "certificate": GivenCertificate,
}
_QUOTES: Final = "put a text with other signs than letters and digits in single quotes"


class AccessUnreadable(InvalidError):
    """What a person wrote is no access; *problems* has a sentence for each mistake."""

    def __init__(self, problems: Sequence[str]) -> None:
        """Take the sentences, which hold no value."""
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class _Texts(yaml.BaseLoader):
    """Loads mappings, lists and texts; refuses a key that appears twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse aliases: with them a short text becomes a large document."""
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # not typed there
            raise yaml.composer.ComposerError(None, None, "an alias", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - the library's signature
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(names) < len(node.value) or len(set(names)) < len(names):
            raise yaml.constructor.ConstructorError(
                None, None, "a name is given twice, or is no text", node.start_mark
            )
        return super().construct_mapping(node, deep)


def read_written(text: str) -> Access:
    """Return the access in *text*. Raises AccessUnreadable with every mistake of its form."""
    document = _load(text)
    if not isinstance(document, dict):
        raise AccessUnreadable(["it must be a mapping, like basic: {user: …, password: …}"])
    names_of_files = [*_file_problems(document)]
    if names_of_files:
        raise AccessUnreadable(names_of_files)
    try:
        return GivenAccess.model_validate(document).access()
    except ValidationError as refusal:
        raise AccessUnreadable([*form_mistakes(refusal)]) from None
    except ValueError as refusal:
        raise AccessUnreadable([str(refusal)]) from None


def form_mistakes(refusal: ValidationError) -> Iterator[str]:
    """Say where the form of an access is wrong, and how; a name that is not known is left out."""
    for error in refusal.errors(include_url=False, include_input=False):
        *above, last = error["loc"] or ("",)
        if error["type"] != "extra_forbidden":
            yield f"{_place(error['loc'])}: {error['msg']}"
            continue
        known = sorted((_PARTS[str(above[0])] if above else GivenAccess).model_fields)
        near = get_close_matches(str(last).removesuffix(_FILE), known, n=1, cutoff=0.75)
        advice = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"
        yield f"{_place(above)}: a field is not known{advice}"


def _place(location: Sequence[int | str]) -> str:
    parts = [part + 1 if isinstance(part, int) else part for part in location]
    return " ".join(map(str, parts)) or "the access"


def _load(text: str) -> object:
    try:
        node = yaml.compose(text, _Texts)
        comments = [*_comment_problems(node, text.splitlines())]
        if not comments:
            return yaml.load(text, _Texts)  # noqa: S506 - it makes texts, lists and mappings alone
    except yaml.MarkedYAMLError as refusal:
        mark = refusal.problem_mark or refusal.context_mark
        line = "" if mark is None else f"line {mark.line + 1}: "
        raise AccessUnreadable([f"{line}this cannot be read as YAML; {_QUOTES}"]) from None
    except (yaml.YAMLError, RecursionError):
        raise AccessUnreadable([f"it is not YAML; {_QUOTES}"]) from None
    raise AccessUnreadable(comments)


def _comment_problems(node: yaml.Node | None, lines: Sequence[str]) -> Iterator[str]:
    """Find comments directly behind a secret: they are rather its end."""
    if isinstance(node, yaml.SequenceNode):
        for part in node.value:
            yield from _comment_problems(part, lines)
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        is_secret = isinstance(key, yaml.ScalarNode) and key.value in _SECRETS
        if is_secret and isinstance(value, yaml.ScalarNode) and value.style is None:
            mark = value.end_mark
            if lines[mark.line : mark.line + 1] and _is_comment(lines[mark.line][mark.column :]):
                yield (
                    f"line {mark.line + 1}: what stands behind # is a comment; if it belongs to"
                    f" {key.value}, put that in single quotes, else take it out"
                )
        yield from _comment_problems(value, lines)


def _is_comment(rest: str) -> bool:
    return rest.lstrip().startswith("#")


def _file_problems(document: Mapping[str, Any]) -> Iterator[str]:
    """Find names of files, which are read by the command line alone."""
    for name, value in document.items():
        plain = name.removesuffix(_FILE)
        known = {*GivenAccess.model_fields}.union(*(part.model_fields for part in _PARTS.values()))
        if name.endswith(_FILE) and plain in known:
            yield (
                f"{name} names a file, which only the command line reads; write {plain} with the"
                " text itself"
            )
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, dict):
                yield from _file_problems(part)
