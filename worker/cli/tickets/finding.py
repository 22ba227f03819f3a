"""Prints what a text is the id of."""

from collections.abc import Iterator

from models.operators.listing import OperatorNotFound
from models.platform.json_values import as_json_value
from models.search import InvalidSearch, Match, Matches, MatchKind, search
from worker.cli.database import transaction
from worker.cli.errors import Failed, WrongUsage
from worker.cli.output import moment, remark, show_json, show_table


def show_matches(
    given: str | None,
    *,
    player: str | None,
    code: str | None,
    operator: str | None,
    as_json: bool,
) -> None:
    """Print the matches of TEXT, of a player or of a code. Raises Failed if there are none."""
    text, kinds = _wanted(given, player=player, code=code)
    with transaction() as connection:
        try:
            result = search(connection, text, operator=operator, kinds=kinds)
        except (InvalidSearch, OperatorNotFound) as error:
            raise WrongUsage(str(error)) from None
    if as_json:
        show_json({"text": result.text, "kinds": list(map(_document, result.kinds))})
    if not result.kinds:
        whose = "" if operator is None else f" of operator {operator}"
        raise Failed(
            f"nothing{whose} has the id or code {result.text!r}; what ended long ago may have been"
            " removed, and what is still on the stream is not searched"
        )
    if not as_json:
        columns = ("what", "operator", "ticket", "status", "which", "when")
        show_table(columns, [_row(match) for group in result.kinds for match in group.lines])
        for group in result.kinds:
            if group.more:
                remark(f"there are more matches by {group.kind}; narrow it with --operator")


def _wanted(
    given: str | None, *, player: str | None, code: str | None
) -> tuple[str, tuple[MatchKind, ...]]:
    texts = [(given, tuple(MatchKind)), (player, (MatchKind.PLAYER,)), (code, (MatchKind.CODE,))]
    chosen = [(text, kinds) for text, kinds in texts if text is not None]
    if len(chosen) != 1:
        raise WrongUsage("give one of TEXT, --player and --code")
    return chosen[0]


def _document(group: Matches) -> dict[str, object]:
    return {
        "kind": group.kind.value,
        "matches": [as_json_value(match) for match in group.lines],
        "more": group.more,
    }


def _row(match: Match) -> tuple[str, ...]:
    return (
        match.kind.value,
        match.operator or "-",
        match.ticket_id or "-",
        match.status or "-",
        ", ".join(_details(match)) or "-",
        moment(match.at),
    )


def _details(match: Match) -> Iterator[str]:
    if match.ticket_code is not None:
        yield f"code {match.ticket_code}"
    if match.player_id is not None:
        yield f"player {match.player_id}"
    if match.notice is not None:
        yield f"notice {match.notice}"
    if match.action is not None:
        yield match.action
    if match.generation is not None:
        yield f"generation {match.generation}"
    if match.event_id is not None:
        yield f"event {match.event_id}"
    if match.entry_id is not None:
        yield f"entry {match.entry_id}"
    if match.outcome is not None:
        yield match.outcome
