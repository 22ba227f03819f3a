"""The kinds of jobs. A new kind is a module in `models/jobs/kinds/`, listed here."""

from collections.abc import Mapping
from typing import Final

from models.jobs.kinds import erase_player, partnership
from models.jobs.kinds.dead_notices import RETRY_NOTICES, SKIP_NOTICES
from models.jobs.kinds.open_events import DROP_EVENTS, RETRY_EVENTS
from models.jobs.kinds.send_again import SEND_AGAIN
from models.jobs.kinds.send_operator_again import SEND_OPERATOR_AGAIN
from models.jobs.values import JobKind
from models.platform.errors import InvalidError

_ALL: Final[tuple[JobKind, ...]] = (
    RETRY_NOTICES,
    SKIP_NOTICES,
    RETRY_EVENTS,
    DROP_EVENTS,
    partnership.KIND,
    erase_player.KIND,
    SEND_AGAIN,
    SEND_OPERATOR_AGAIN,
)

KINDS: Final[Mapping[str, JobKind]] = {kind.name: kind for kind in _ALL}


def kind_named(name: str) -> JobKind:
    """Return the kind of that name. Raises InvalidError."""
    kind = KINDS.get(name)
    if kind is None:
        raise InvalidError(f"there is no kind of job {name!r}; the kinds are {', '.join(KINDS)}")
    return kind
