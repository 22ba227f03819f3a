"""Where a match of the search leads to."""

from models.search import Match, MatchKind, SearchResult
from worker.console.addresses import path_of


def target_of(match: Match) -> str:
    """Return the page of a match: its ticket's, or that of the input that reached none."""
    if match.status is not None and match.operator is not None and match.ticket_id is not None:
        return path_of("tickets", match.operator, match.ticket_id)
    if match.entry_id is not None:
        return path_of("events", "one", query={"entry": match.entry_id})
    return path_of("events", query={"outcome": "rejected", "partner": match.operator})


def only_target(result: SearchResult) -> str | None:
    """Return the page to which everything leads, if that is one; a player's tickets are a list."""
    if any(group.more or group.kind is MatchKind.PLAYER for group in result.kinds):
        return None
    targets = {target_of(match) for group in result.kinds for match in group.lines}
    return targets.pop() if len(targets) == 1 else None
