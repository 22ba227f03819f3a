"""Checks bodies that were really sent against the published contract."""

import json
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

from models.notices import pam
from models.notices.seamless import FIELDS
from models.outgoing.documents import NOTICES_FILE, WALLET_FILE
from models.outgoing.wallet_schemas import wallet_name
from producers.simulation.partner import LedgerEntry
from tests.support.schema_reader import Reader, schema, takes

_ACTIONS: Final = frozenset(map(str, pam.FIELDS))


def in_contract(body: bytes | str, path: str = "") -> bool:
    """Return whether the contract has this body for *path*, which only a wallet's calls have."""
    document = json.loads(body)
    if path in FIELDS:
        return bool(named(WALLET_FILE, wallet_name(path)).is_valid(document))
    if document.get("action") in _ACTIONS:  # the same, without trying the others
        return bool(named(NOTICES_FILE, document["action"]).is_valid(document))
    return takes(NOTICES_FILE, document)


@cache
def named(file: str, name: str) -> Any:  # noqa: ANN401 - jsonschema's validators have no type
    """Return the validator of one body of a file."""
    return Reader(schema(file)["$defs"][name])


def outside_contract(entries: Iterable[LedgerEntry]) -> list[str]:
    """Return what a partner received and the contract does not have."""
    return [
        f"{entry.path}: {entry.body.decode(errors='replace')}"
        for entry in entries
        if not in_contract(entry.body, entry.path)
    ]
