"""What people did: the audit log read, and the sentences for it.

`acts` has the text for each word, `listing` reads the log page by page, by filters. Writing it is
`models.operators.interventions`, in the transaction of the change itself.
"""

from models.audit.acts import ACTS, act_sentence, act_title
from models.audit.listing import (
    ActFilter,
    ActPage,
    ActPlace,
    RecordedAct,
    list_acts,
    newest_act,
)

__all__ = [
    "ACTS",
    "ActFilter",
    "ActPage",
    "ActPlace",
    "RecordedAct",
    "act_sentence",
    "act_title",
    "list_acts",
    "newest_act",
]
