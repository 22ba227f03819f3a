"""What was counted of the stream at one moment."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class StreamCount:
    """What was ever added to the stream and finished, and what waits, at one moment."""

    at: datetime  # by Redis' clock
    birth: int  # when the count began: another one counts another stream
    added: int
    finished: int
    waiting: int
    first_id: str | None  # of the entries that wait
    last_id: str

    def is_later_than(self, other: "StreamCount") -> bool:
        """Whether it was made later: of a stream that began later, or of the same one."""
        return (self.birth, self.at) > (other.birth, other.at)

    @property
    def missing(self) -> int:
        """Entries that are neither there nor finished."""
        return self.added - self.finished - self.waiting
