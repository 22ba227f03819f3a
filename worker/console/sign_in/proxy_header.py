"""A person whom a trusted proxy has signed in, and names in a header."""

from dataclasses import dataclass

from fastapi import Request

from models.settings.settings import Settings
from models.users import Role
from worker.console.http.prefix import peer_is_trusted
from worker.console.sign_in.roles import mapped_role


@dataclass(frozen=True, slots=True)
class ProxyUser:
    """Whom the proxy names, and the role that it gives, if any."""

    name: str
    role: Role | None


def proxy_user(request: Request, settings: Settings) -> ProxyUser | None:
    """Return whom a proxy of ours names. A header from anywhere else counts for nothing."""
    header = settings.console_proxy_user_header
    if header is None or not peer_is_trusted(request.scope):
        return None
    names = request.headers.getlist(header)
    if len(names) != 1 or not names[0].strip():  # two: the proxy let one of the browser's through
        return None
    roles = settings.console_proxy_role_header
    theirs = ",".join(request.headers.getlist(roles)) if roles else ""
    groups = [part.strip() for part in _text(theirs).split(",")]
    return ProxyUser(_text(names[0]).strip(), mapped_role(groups, settings.console_roles))


def _text(header: str) -> str:
    """Decode a header as UTF-8 where it is; the server decoded its bytes as Latin-1."""
    try:
        return header.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return header
