"""Operators: the partners as they are configured, and their secrets.

A name is loaded when it is first used: a deliverer reads partners, and would otherwise hold all
that changes them, with the object-relational mapper, 10 MiB.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.operators.change import (
        Changed,
        OperatorPatch,
        change_operator,
        disable_operator,
        enable_operator,
    )
    from models.operators.due import forget_old_secrets
    from models.operators.ended import OperatorEnded
    from models.operators.listing import (
        OperatorChange,
        OperatorLine,
        OperatorNotFound,
        OperatorPage,
        list_operators,
        show_operator,
    )
    from models.operators.problems import OperatorInvalid, OperatorProblem, Remedy
    from models.operators.rotation import (
        InterruptedRotation,
        ReencryptedSecrets,
        reencrypt_secrets,
        rotate_secret,
    )
    from models.operators.secrets import EncryptedSecrets, signing_secret, verifying_secrets
    from models.operators.store import Added, ApiKeyTaken, OperatorExists, add_operator
    from models.operators.validation import (
        NewOperator,
        OperatorTerms,
        check_new_operator,
        check_secret,
        secret_warnings,
        terms_warnings,
        url_warnings,
    )

__all__ = [
    "Added",
    "ApiKeyTaken",
    "Changed",
    "EncryptedSecrets",
    "InterruptedRotation",
    "NewOperator",
    "OperatorChange",
    "OperatorEnded",
    "OperatorExists",
    "OperatorInvalid",
    "OperatorLine",
    "OperatorNotFound",
    "OperatorPage",
    "OperatorPatch",
    "OperatorProblem",
    "OperatorTerms",
    "ReencryptedSecrets",
    "Remedy",
    "add_operator",
    "change_operator",
    "check_new_operator",
    "check_secret",
    "disable_operator",
    "enable_operator",
    "forget_old_secrets",
    "list_operators",
    "reencrypt_secrets",
    "rotate_secret",
    "secret_warnings",
    "show_operator",
    "signing_secret",
    "terms_warnings",
    "url_warnings",
    "verifying_secrets",
]

_HOMES = {
    "Added": "store",
    "ApiKeyTaken": "store",
    "Changed": "change",
    "EncryptedSecrets": "secrets",
    "InterruptedRotation": "rotation",
    "NewOperator": "validation",
    "OperatorChange": "listing",
    "OperatorEnded": "ended",
    "OperatorExists": "store",
    "OperatorInvalid": "problems",
    "OperatorLine": "listing",
    "OperatorNotFound": "listing",
    "OperatorPage": "listing",
    "OperatorPatch": "change",
    "OperatorProblem": "problems",
    "OperatorTerms": "validation",
    "ReencryptedSecrets": "rotation",
    "Remedy": "problems",
    "add_operator": "store",
    "change_operator": "change",
    "check_new_operator": "validation",
    "check_secret": "validation",
    "disable_operator": "change",
    "enable_operator": "change",
    "forget_old_secrets": "due",
    "list_operators": "listing",
    "reencrypt_secrets": "rotation",
    "rotate_secret": "rotation",
    "secret_warnings": "validation",
    "show_operator": "listing",
    "signing_secret": "secrets",
    "terms_warnings": "validation",
    "url_warnings": "validation",
    "verifying_secrets": "secrets",
}


def __getattr__(name: str) -> object:
    """Load what is asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
