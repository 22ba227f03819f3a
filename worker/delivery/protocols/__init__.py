"""The partner protocols: how a notice becomes a request, and what a response means."""

from collections.abc import Mapping
from typing import Final

from worker.delivery.protocols.adapter import ProtocolAdapter
from worker.delivery.protocols.pam import PamAdapter
from worker.delivery.protocols.seamless import SeamlessAdapter

ADAPTERS: Final[Mapping[str, ProtocolAdapter]] = {  # by the name an operator is added with
    "pam": PamAdapter(),
    "seamless": SeamlessAdapter(),
}
