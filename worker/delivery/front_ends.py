"""Answers of a front end that speak of the connection, not of the notice: any protocol has them."""

from typing import Final

from worker.delivery.http.exchange import HttpResponse
from worker.delivery.http.problems import HOW_TO_CHANGE_ACCESS

_STATUS: Final = 400
_LOOKED_AT_BYTES: Final = 1024
# nginx goes on without a valid client certificate (ssl_verify_client), and says so in a page of its
# own. As a refusal it would kill notice after notice.
_NONE_SENT: Final = b"<center>No required SSL certificate was sent</center>"
_NOT_VALID: Final = b"<center>The SSL certificate error</center>"


def certificate_problem(response: HttpResponse) -> str | None:
    """Return what a front end has against our client certificate; None: the answer is no such."""
    if response.status != _STATUS:
        return None
    page = response.body[:_LOOKED_AT_BYTES]
    if _NONE_SENT in page:
        return (
            "the partner asks for a client certificate: its nginx answered 400; give the operator"
            f" one: {HOW_TO_CHANGE_ACCESS}"
        )
    if _NOT_VALID in page:
        return (
            "the partner refuses our client certificate: its nginx answered 400; it has expired, is"
            " revoked, or from an authority that the partner does not know; agree with the partner"
            f" on one and give it to the operator: {HOW_TO_CHANGE_ACCESS}"
        )
    return None
