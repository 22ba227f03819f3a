"""The partner protocols we speak, by the name an operator is added with."""

from collections.abc import Mapping
from typing import Final

from worker.delivery.dialect import Dialect
from worker.delivery.pam import Pam
from worker.delivery.seamless import Seamless

DIALECTS: Final[Mapping[str, Dialect]] = {"pam": Pam(), "seamless": Seamless()}
