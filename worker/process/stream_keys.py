"""The keys of the stream: it, what Slipway keeps beside it, and the queue that moves to it.

A cluster runs a script or a transaction only on keys of one slot. There the stream's name is their
common hash tag, so that they share its slot; outside a cluster they keep the names that they have
always had, since the counts under them must outlive an upgrade.
"""

from dataclasses import dataclass
from typing import Final, Self

from models.events.stream_contract import STREAM
from models.settings.process_settings import ProcessSettings
from models.settings.redis_address import cluster_address
from worker.process.queues import TICKETS_QUEUE, priority_lists


@dataclass(frozen=True, slots=True)
class StreamKeys:
    """The names, in one slot if *on_cluster*."""

    stream: str = STREAM
    on_cluster: bool = False

    @classmethod
    def of(cls, settings: ProcessSettings) -> Self:
        """Return the keys that *settings* lead to."""
        return cls(settings.stream, cluster_address(settings.redis_url) is not None)

    @property
    def moments(self) -> str:
        """A sorted set, by PostgreSQL's time; shared by all sweeps."""
        return self._beside("moments")

    @property
    def former_moments(self) -> str:
        """Moments that were noted without the last id: too little to use."""
        return self._beside("emptied")

    @property
    def finished(self) -> str:
        """A hash: `birth`, `finished`."""
        return self._beside("finished")

    @property
    def queue(self) -> tuple[str, ...]:
        """The lists of the Celery queue; none on a cluster, where kombu cannot publish."""
        return () if self.on_cluster else priority_lists(TICKETS_QUEUE)

    def _beside(self, name: str) -> str:
        return f"{{{self.stream}}}:{name}" if self.on_cluster else f"{self.stream}:{name}"


KEYS: Final = StreamKeys()  # by default
