"""Operators, the partners: what one must be like, adding, showing and changing one, its secrets."""

from models.operators.change import (
    Changed,
    OperatorPatch,
    change_operator,
    disable_operator,
    enable_operator,
)
from models.operators.listing import (
    OperatorChange,
    OperatorLine,
    OperatorPage,
    OperatorUnknown,
    list_operators,
    show_operator,
)
from models.operators.rotation import (
    InterruptedRotation,
    Resealed,
    forget_old_secrets,
    reseal,
    rotate_secret,
)
from models.operators.secrets import SealedSecrets, signing_secret, verifying_secrets
from models.operators.store import Added, ApiKeyTaken, OperatorExists, add_operator
from models.operators.validation import (
    NewOperator,
    OperatorInvalid,
    OperatorTerms,
    cautions,
    check,
    check_secret,
    secret_cautions,
)

__all__ = [
    "Added",
    "ApiKeyTaken",
    "Changed",
    "InterruptedRotation",
    "NewOperator",
    "OperatorChange",
    "OperatorExists",
    "OperatorInvalid",
    "OperatorLine",
    "OperatorPage",
    "OperatorPatch",
    "OperatorTerms",
    "OperatorUnknown",
    "Resealed",
    "SealedSecrets",
    "add_operator",
    "cautions",
    "change_operator",
    "check",
    "check_secret",
    "disable_operator",
    "enable_operator",
    "forget_old_secrets",
    "list_operators",
    "reseal",
    "rotate_secret",
    "secret_cautions",
    "show_operator",
    "signing_secret",
    "verifying_secrets",
]
