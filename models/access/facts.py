"""What of an operator's access may be shown and kept in the clear."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from models.access.values import Access
from models.platform.timestamps import format_timestamp, parse_timestamp

AccessFacts = Mapping[str, Any]
BASIC = "basic"
BEARER = "bearer"
OAUTH = "oauth"


def access_facts(access: Access) -> dict[str, Any]:
    """Return what may be shown, as JSON values; what is not set is left out."""
    facts: dict[str, Any] = {}
    if access.headers:
        facts["headers"] = [
            {"name": header.name, "value": None if header.secret else header.value}
            for header in access.headers
        ]
    if access.basic is not None:
        facts |= {"method": BASIC, "user": access.basic.user}
    if access.bearer is not None:
        facts["method"] = BEARER
    if access.oauth is not None:
        facts |= {
            "method": OAUTH,
            "token_url": access.oauth.token_url,
            "client_id": access.oauth.client_id,
            "scope": access.oauth.scope,
            "audience": access.oauth.audience,
            "in_body": access.oauth.in_body,
        }
    if access.certificate is not None:
        facts["certificate"] = _described(access.certificate.chain)[0]
    if access.authorities is not None:
        facts["authorities"] = _described(access.authorities)
    return facts


def expiries(facts: AccessFacts) -> list[tuple[str, datetime]]:
    """Return what expires, and when: the client certificate, and the last of the authorities."""
    moments = []
    if certificate := facts.get("certificate"):
        moments.append(("client certificate", parse_timestamp(certificate["not_after"])))
    if authorities := facts.get("authorities"):
        last = max(parse_timestamp(authority["not_after"]) for authority in authorities)
        moments.append(("CA bundle", last))
    return moments


def token_url(facts: AccessFacts) -> str | None:
    """Return where tokens are fetched, if they are."""
    url: str | None = facts.get("token_url")
    return url


def describe_access(facts: AccessFacts) -> list[tuple[str, str]]:
    """Return the facts as labels and texts for people."""
    lines = [
        (f"header {header['name']}", "(secret)" if header["value"] is None else header["value"])
        for header in facts.get("headers", ())
    ]
    match facts.get("method"):
        case "basic":
            lines.append(("Basic", f"user {facts['user']}, password (secret)"))
        case "bearer":
            lines.append(("Bearer", "(secret)"))
        case "oauth":
            lines.append(("OAuth token URL", facts["token_url"]))
            lines.append(("OAuth client", f"{facts['client_id']}, secret (secret)"))
            lines += [
                (f"OAuth {name}", facts[name]) for name in ("scope", "audience") if facts.get(name)
            ]
    if certificate := facts.get("certificate"):
        lines.append(("client certificate", _shown(certificate)))
    lines += [("authority", _shown(authority)) for authority in facts.get("authorities", ())]
    return lines


def summarize_access(facts: AccessFacts) -> str:
    """Return the kinds of what calls carry: `basic, 2 headers, client certificate`."""
    headers = len(facts.get("headers", ()))
    parts = [str(facts["method"])] if "method" in facts else []
    parts += [f"{headers} header{'s' if headers > 1 else ''}"] if headers else []
    parts += ["client certificate"] if "certificate" in facts else []
    parts += ["CA bundle"] if "authorities" in facts else []
    return ", ".join(parts) or "nothing"


def _shown(certificate: Mapping[str, str]) -> str:
    return f"{certificate['subject']}, valid until {certificate['not_after']}"


def _described(pem: str) -> list[dict[str, str]]:
    from cryptography.x509 import (  # noqa: PLC0415 - 8 MiB, for those who read certificates
        load_pem_x509_certificates,
    )

    from models.access.certificates import (  # noqa: PLC0415 - loads the same
        fingerprint_of,
        name_of,
    )

    return [
        {
            "subject": name_of(certificate),
            "issuer": certificate.issuer.rfc4514_string()[:200],
            "not_after": format_timestamp(certificate.not_valid_after_utc, "seconds"),
            "fingerprint": fingerprint_of(certificate),
        }
        for certificate in load_pem_x509_certificates(pem.encode())
    ]
