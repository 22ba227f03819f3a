"""What is the same for every call of an installation: limits, authorities, the way out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Self

from models.notices.request import default_user_agent
from models.settings.settings import Settings
from worker.delivery.http.address_policy import Network
from worker.delivery.http.egress import DIRECT, Egress
from worker.delivery.http.trust import AuthoritiesFile, trusted_with


@dataclass(frozen=True, slots=True)
class TransferLimits:
    """Limits that are the same for every call."""

    connect_timeout: timedelta  # TLS included; never more than the timeout of the call
    networks: Sequence[Network]  # private ones that partners may live in
    response_bytes_max: int
    authorities: str | AuthoritiesFile | None = None  # instead of the system's
    egress: Egress = DIRECT
    user_agent: str = field(default_factory=lambda: default_user_agent(None))

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Take the limits from the settings, and from the files that they name.

        Raises InvalidSettings if one of these cannot be used.
        """
        own = settings.partner_ca_file
        return cls(
            connect_timeout=settings.partner_connect_timeout,
            networks=settings.partner_networks,
            response_bytes_max=settings.answer_bytes_max,
            authorities=None if own is None else trusted_with(own),
            egress=Egress.of(settings),
            user_agent=default_user_agent(settings.partner_contact),
        )
