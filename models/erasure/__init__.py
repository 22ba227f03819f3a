"""Erases a player: finds what identifies one, and blanks it once no open ticket needs it (rule 25).

`store` begins an erasure and reports it, `advance` does a batch of it: `walks` search the tables,
`blank` blanks the tickets that have ended. `names` says what names a player. What is kept of an
event's data is `models.events.kept_data`. `models.players` starts an erasure as a job.
"""

from models.erasure.advance import ErasureStep, advance_erasure
from models.erasure.fingerprint import player_fingerprints
from models.erasure.names import ERASED, PlayerName
from models.erasure.store import (
    NOT_COVERED,
    Erasure,
    ErasureEstimate,
    ErasureReport,
    WaitingTicket,
    begin_erasure,
    count_tickets,
    estimate_erasure,
    find_erasure,
    list_erasures,
    note_job,
    report_erasure,
)

__all__ = [
    "ERASED",
    "NOT_COVERED",
    "Erasure",
    "ErasureEstimate",
    "ErasureReport",
    "ErasureStep",
    "PlayerName",
    "WaitingTicket",
    "advance_erasure",
    "begin_erasure",
    "count_tickets",
    "estimate_erasure",
    "find_erasure",
    "list_erasures",
    "note_job",
    "player_fingerprints",
    "report_erasure",
]
