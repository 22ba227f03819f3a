"""What a partner's access adds to its calls: headers, and how their connections are opened."""

from base64 import b64encode
from collections.abc import Mapping

from models.access.values import Access, Basic
from worker.delivery.http.exchange import ConnectionOptions
from worker.delivery.token_endpoint import secret_forms


def added_headers(access: Access, *, user_agent: str | None) -> Mapping[str, str]:
    """Return the headers that each call carries beside the protocol's.

    An OAuth token is not among them: it changes. *user_agent*: the partner's own, if it has one.
    """
    headers = {} if user_agent is None else {"User-Agent": user_agent}
    if access.basic is not None:
        headers["Authorization"] = f"Basic {_encoded(access.basic)}"
    elif access.bearer is not None:
        headers["Authorization"] = f"Bearer {access.bearer}"
    return headers | {header.name: header.value for header in access.headers}


def connection_options(access: Access) -> ConnectionOptions | None:
    """Return what the partner's connections are opened with; None: as everybody's."""
    if access.certificate is None and access.authorities is None:
        return None
    certificate = access.certificate
    return ConnectionOptions(
        authorities=None if access.authorities is None else access.authorities.encode(),
        certificate=None if certificate is None else certificate.chain.encode(),
        key=None if certificate is None else certificate.key.encode(),
    )


def repeated_secrets(access: Access) -> tuple[str, ...]:
    """Return its secrets in the forms in which a response may repeat them."""
    if access.basic is not None:
        return (_encoded(access.basic), *access.secrets)
    if access.oauth is not None:
        return (*secret_forms(access.oauth), *access.secrets)
    return access.secrets


def shown_access(access: Access) -> str:
    """Return by what the partner can have recognised us, without a secret; empty: by nothing."""
    ways = []
    if access.basic is not None:
        ways.append(f"the user {access.basic.user} (Basic)")
    if access.bearer is not None:
        ways.append("our bearer token")
    if access.oauth is not None:
        ways.append(f"a token of the client {access.oauth.client_id}")
    ways += [f"our header {header.name}" for header in access.headers]
    if access.certificate is not None:
        ways.append("our client certificate")
    return " and ".join(ways)


def _encoded(basic: Basic) -> str:
    return b64encode(f"{basic.user}:{basic.password}".encode()).decode()
