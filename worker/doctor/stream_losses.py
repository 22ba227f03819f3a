"""Checks whether entries vanished from the stream without having been applied."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from models.monitoring.stream_losses import LossCause, NoticedLoss
from models.platform.timestamps import format_timestamp
from worker.doctor.finding import Finding, doubtful, ok, wrong

LOSSES: Final = "stream losses"
_HAPPENED: Final[Mapping[str, str]] = {
    LossCause.REMOVED: "{entries} entries were removed before they were applied",
    LossCause.REPLACED: "the stream was deleted, or Redis emptied; {entries} entries had waited",
    LossCause.WENT_BACK: "Redis went back to an earlier state, and lost {entries} entries or fewer",
}
_FIND: Final[Mapping[str, str]] = {
    LossCause.REMOVED: "find the client that trims or deletes (XADD with MAXLEN, XTRIM, XDEL; ACL"
    " LOG, CLIENT LIST) and stop it",
    LossCause.REPLACED: "find out who used DEL or FLUSHALL (ACL LOG; deploy/redis/users.acl"
    " forbids FLUSHALL to all processes)",
    LossCause.WENT_BACK: "find out why Redis restarted or failed over without its last writes",
}


def check_stream_losses(losses: Sequence[NoticedLoss]) -> Iterator[Finding]:
    """Report each of *losses*, which were noticed in the last seven days."""
    if not losses:
        yield ok(LOSSES, "nothing vanished from the stream in the last 7 days")
    for loss in losses:
        report = wrong if loss.entries else doubtful
        happened = _HAPPENED.get(loss.cause, "{entries} entries vanished")
        yield report(
            LOSSES,
            f"{happened.format(entries=f'{loss.entries:,}')}: ids from {loss.first_id} to"
            f" {loss.last_id}, between {format_timestamp(loss.since)} and"
            f" {format_timestamp(loss.noticed_at)}",
            remedy=f"{_FIND.get(loss.cause, 'find out what happened')}; have the backends publish"
            " again what they published in that time and shortly before: what was applied counts"
            " once (deploy/RUNBOOK.md, SlipwayStreamEntriesLost)",
        )
