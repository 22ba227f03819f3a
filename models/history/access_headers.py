"""What an operator's access adds to its requests, for people: secrets are masked, or variables."""

import re
from collections.abc import Mapping
from shlex import quote
from typing import Any, Final

from models.access.facts import BASIC

MASKED: Final = "(masked)"
_AUTHORIZATION: Final = "Authorization"


def shown_headers(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the headers as they are sent, with the secret ones masked."""
    method = facts.get("method")
    shown = [(header["name"], header["value"]) for header in facts.get("headers", ())]
    masked = [(name, MASKED if value is None else value) for name, value in shown]
    if method is None:
        return masked
    scheme = "Basic" if method == BASIC else "Bearer"
    return [(_AUTHORIZATION, f"{scheme} {MASKED}"), *masked]


def curl_options(facts: Mapping[str, Any]) -> list[str]:
    """Return options of `curl`; each secret is a variable or a file of the reader's.

    Everything else is quoted: a header's name may hold a dollar sign.
    """
    options = []
    method = facts.get("method")
    if method == BASIC:
        options.append(f"--user {quote(facts['user'] + ':')}{_variable('PASSWORD')}")
    elif method is not None:
        options.append(f"--header {quote(_AUTHORIZATION + ': Bearer ')}{_variable('TOKEN')}")
    for number, header in enumerate(facts.get("headers", ()), start=1):
        name, value = header["name"], header["value"]
        if value is not None:
            options.append(f"--header {quote(f'{name}: {value}')}")
            continue
        # The number tells X-Key from X_Key.
        variable = f"HEADER_{number}_{re.sub('[^A-Z0-9]', '_', name.upper())}"
        options.append(f"--header {quote(f'{name}: ')}{_variable(variable)}")
    if "certificate" in facts:
        options.append('--cert "${CERTIFICATE_FILE:?is not set}" --key "${KEY_FILE:?is not set}"')
    if "authorities" in facts:
        options.append('--cacert "${CA_FILE:?is not set}"')
    return options


def _variable(name: str) -> str:
    return f'"${{{name}:?is not set}}"'
