"""The contract as tables in Markdown, for the page that partners' developers read."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from models.notices import pam, seamless
from models.outgoing import pam_schemas, wallet_schemas
from models.outgoing.responses import Responses, notice_responses, wallet_responses
from models.vocabulary import Action

_KINDS: Final[Mapping[str, Action]] = {
    "`ticket_create`, `ticket_reserve`": Action.CREATE,
    "`ticket_discard`": Action.DISCARD,
    "every other action": Action.WIN,
}


def sections() -> dict[str, str]:
    """Return the generated sections of the page by their names."""
    return {"actions": _actions(), "calls": _calls(), "responses": _responses()}


def grouped_responses(responses: Responses) -> Iterable[tuple[str, str]]:
    """Yield neighbouring statuses that do the same, with what they do."""

    def text(item: tuple[str, dict[str, Any]]) -> str:
        return str(item[1]["description"])

    for described, group in groupby(responses.items(), key=text):
        yield ", ".join(_status_words(status, responses) for status, _ in group), described


def _status_words(status: str, responses: Responses) -> str:
    if status == "default":
        return "any other, or none"
    of_its_class = [other for other in responses if other[0] == status[0]]
    if status.endswith("XX") and len(of_its_class) > 1:
        return f"any other {status[0]}xx"
    return status.replace("XX", "xx")


def _actions() -> str:
    rows = [
        (f"`{action}`", _fields(fields), pam_schemas.MEANINGS[action])
        for action, fields in pam.FIELDS.items()
    ]
    return _table(("action", "after `operator` and `ticket_id`", "what it means"), rows)


def _calls() -> str:
    rows = [
        (f"`POST {path}`", _fields(fields), wallet_schemas.MEANINGS[path])
        for path, fields in seamless.FIELDS.items()
    ]
    return _table(("call", "fields", "what it means"), rows)


def _responses() -> str:
    rows = [
        (kind, statuses, text)
        for kind, action in _KINDS.items()
        for statuses, text in grouped_responses(notice_responses(action))
    ]
    rows += [("a wallet's call", *row) for row in grouped_responses(wallet_responses())]
    return _table(("of", "your status", "what it does"), rows)


def _fields(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "nothing more"


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in (titles, *rows)]
    lines.insert(1, "|---" * len(titles) + "|")
    return "\n".join(lines) + "\n"
