"""Operators: the partners as they are configured, and their secrets."""

from models.operators.change import (
    Changed,
    OperatorPatch,
    change_operator,
    disable_operator,
    enable_operator,
)
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
    forget_old_secrets,
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
