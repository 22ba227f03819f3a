"""The database tables, with one module for each kind of row.

They define the schema and serve reads and single-row writes. Bulk work goes through named SQL in
`models.intake`, `models.outbox` and `models.sweeps.closing`.
"""

from models.tables.circuit import Circuit
from models.tables.erasure import ErasureTicket, StoredErasure
from models.tables.event import RejectedInput, TicketEvent
from models.tables.intervention import Intervention
from models.tables.job import StoredJob
from models.tables.notice import DeliveryAttempt, Notice
from models.tables.operator import Operator, PublisherAccount, PublisherOperator
from models.tables.plots import PartnerMinute, PlotProgress
from models.tables.stream import LastStreamCount, StreamLoss
from models.tables.sweep import SweepRound
from models.tables.ticket import Ticket
from models.tables.tombstone import Tombstone
from models.tables.upgrade import FinalizedUpgrade
from models.tables.user import ApiToken, KeptResponse, SignInFailure, UserAccount, UserSession

__all__ = [
    "ApiToken",
    "Circuit",
    "DeliveryAttempt",
    "ErasureTicket",
    "FinalizedUpgrade",
    "Intervention",
    "KeptResponse",
    "LastStreamCount",
    "Notice",
    "Operator",
    "PartnerMinute",
    "PlotProgress",
    "PublisherAccount",
    "PublisherOperator",
    "RejectedInput",
    "SignInFailure",
    "StoredErasure",
    "StoredJob",
    "StreamLoss",
    "SweepRound",
    "Ticket",
    "TicketEvent",
    "Tombstone",
    "UserAccount",
    "UserSession",
]
