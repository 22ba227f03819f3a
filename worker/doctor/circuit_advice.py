"""What to do about a partner whose circuit is open, for each cause."""

from collections.abc import Mapping
from typing import Final

from models.outbox.causes import Cause

ADVICE: Final[Mapping[Cause, str]] = {
    Cause.LOCKED_OUT: "agree with the partner on a secret: slipway operators rotate-secret {code};"
    " or correct what its gateway wants (a key, a password, a token): slipway operators access"
    " {code}; or ask the partner whether it lets our address in",
    Cause.REDIRECT: "redirects are not followed: ask the partner for the final address, then"
    " slipway operators set {code} --url URL",
    Cause.NOT_FOUND: "compare the path of the URL with what the partner expects, then"
    " slipway operators set {code} --url URL",
    Cause.TOO_MANY: "agree with the partner on a rate: slipway operators set {code} --rate 50/s",
    Cause.SERVER_ERROR: "the fault is at the partner; ask there. All notices wait and are sent once"
    " it works again",
    Cause.REFUSED: "read its responses: slipway notices dead list --operator {code}; ask the"
    " partner which field or code is meant",
    Cause.UNREADABLE: "something in between responds (a login or error page, another service), or"
    " the partner breaks its contract: slipway operators ping {code} shows the response",
    Cause.HTTP_VERSION: "ask the partner to accept HTTP/1.1 at this address",
    Cause.URL: "the URL cannot be called: slipway operators set {code} --url URL",
    Cause.NAME: "the host has no address here: correct its name (slipway operators set {code} --url"
    " URL) or the DNS of the deliverers",
    Cause.PRIVATE_ADDRESS: "the host resolves to a private address; if the partner may be there,"
    " name its network in SLIPWAY_PARTNER_NETWORKS for the deliverers",
    Cause.NOT_CONNECTED: "nothing accepts connections there: let the deliverers through our"
    " firewall, or ask the partner for host, port and its own firewall",
    Cause.PROXY: "the installation's proxy does not let the deliverers through: allow this partner"
    " there, or correct SLIPWAY_PARTNER_PROXY; without the proxy: SLIPWAY_PARTNER_NO_PROXY",
    Cause.CERTIFICATE: "ask the partner to renew its certificate or to serve the whole chain; or"
    " trust its authority: slipway operators access {code}, or SLIPWAY_PARTNER_CA_FILE for all; or"
    " the certificate is for another host: slipway operators set {code} --url URL",
    Cause.CLIENT_CERTIFICATE: "agree with the partner on a client certificate, and give it to the"
    " operator with its key: slipway operators access {code}",
    Cause.TOKEN: "its token endpoint gives no token, as the reason says: slipway operators ping"
    " {code} tries it again; correct client, secret or address, for which the partner gives new"
    " ones: slipway operators access {code}",
    Cause.TLS: "TLS 1.2 or later cannot be negotiated: ask the partner; or it wants a client"
    " certificate, or another one: slipway operators access {code}; or the port has no TLS:"
    " slipway operators set {code} --url URL",
    Cause.TIMEOUT: "the partner takes longer than its timeout (SLIPWAY_PARTNER_TIMEOUT, or its"
    " own); ask there; or send less at once: slipway operators set {code} --in-flight 8; or wait"
    " longer: slipway operators set {code} --timeout 30s",
    Cause.CUT_OFF: "it closes connections without a response: ask the partner; a proxy in between"
    " may do that as well",
    Cause.KEY: "slipway doctor, secrets: put back the key that encrypted it, or"
    " slipway operators rotate-secret {code}",
    Cause.PROGRAM: "an error in Slipway: the deliverers' logs hold the traceback",
    Cause.OTHER: "slipway operators ping {code} calls it now; its last attempts are in"
    " slipway ticket ID",
}


def advice_for(cause: Cause, code: str) -> str:
    """Return what to do about the operator *code*, whose circuit is open for *cause*."""
    return ADVICE[cause].format(code=code)
