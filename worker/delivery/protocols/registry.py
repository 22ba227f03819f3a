"""The partner protocols we speak, by the name an operator is added with."""

from collections.abc import Mapping
from typing import Final

from worker.delivery.protocols.adapter import ProtocolAdapter
from worker.delivery.protocols.pam import PamAdapter
from worker.delivery.protocols.seamless import SeamlessAdapter

DIALECTS: Final[Mapping[str, ProtocolAdapter]] = {
    "pam": PamAdapter(),
    "seamless": SeamlessAdapter(),
}
