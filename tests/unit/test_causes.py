"""Why a circuit is open, in one word, and what to do: read from what the last attempt met."""

import pytest

from models.outbox.causes import NO_DETAILS, Cause, cause_of, redirect_target
from models.settings.egress import EgressProxy
from worker.cli.application import Slipway
from worker.delivery.http.exchange import HttpResponse
from worker.delivery.http.problems import (
    Trust,
    describe_error,
    describe_not_http,
    describe_proxied,
    describe_refused,
    describe_tls,
)
from worker.delivery.response_headers import redirect_note
from worker.delivery.token_endpoint import NOTHING_SENT
from worker.doctor.circuit_advice import ADVICE, advice_for

PROXY = EgressProxy("http", "proxy.internal", 3128, "user", "password")
RUNNING = "20 attempts in a row led to nothing; the last: "

# As libcurl says it, with OpenSSL and with GnuTLS, in the versions of the distributions.
WORDS = [
    ("answered 401", Cause.LOCKED_OUT),
    ("answered 403", Cause.LOCKED_OUT),
    ("answered 403 with a body that is not JSON", Cause.LOCKED_OUT),
    ("answered 301", Cause.REDIRECT),
    ("answered 308 with an empty body", Cause.REDIRECT),
    ("answered 404", Cause.NOT_FOUND),
    ("answered 405", Cause.NOT_FOUND),
    ("answered 410", Cause.NOT_FOUND),
    ("answered 425", Cause.TOO_MANY),
    ("answered 429", Cause.TOO_MANY),
    ("answered 400", Cause.REFUSED),
    ("answered 422", Cause.REFUSED),
    ("answered status.code 997 (bad request data)", Cause.REFUSED),
    ("answered status.code 500", Cause.REFUSED),
    ("answered 408", Cause.SERVER_ERROR),
    ("answered 500", Cause.SERVER_ERROR),
    ("answered 524", Cause.SERVER_ERROR),
    ("answered 200 with a body that is not JSON", Cause.UNREADABLE),
    ("answered 200 without a status.code", Cause.UNREADABLE),
    ("answered 202 with a compressed body (gzip), which was not asked for", Cause.UNREADABLE),
    (describe_not_http(b"SSH-2.0"), Cause.UNREADABLE),
    (f"began to answer 200, then: {describe_error(100, '')}", Cause.UNREADABLE),
    ("Invalid Content-Length: value", Cause.UNREADABLE),
    ("Illegal or missing hexadecimal sequence in chunked-encoding", Cause.UNREADABLE),
    (describe_not_http(b"\0\0\6\4"), Cause.HTTP_VERSION),
    (describe_error(35, "tlsv1 alert no application protocol"), Cause.HTTP_VERSION),
    ("URL rejected: Malformed input to a URL function", Cause.URL),
    ("URL using bad/illegal format or missing URL", Cause.URL),
    ('Protocol "ftp" not supported', Cause.URL),
    ("the address or a header holds a character that cannot be sent", Cause.URL),
    ("Could not resolve host: ssl.certificate.example", Cause.NAME),
    ("Couldn't resolve host 'timed-out.example'", Cause.NAME),
    ("Resolving timed out after 3000 milliseconds", Cause.NAME),
    (describe_refused(["10.0.0.1"]), Cause.PRIVATE_ADDRESS),
    ("Failed to connect to a.example port 443 after 9 ms: Could not connect to server",
     Cause.NOT_CONNECTED),
    ("Failed to connect to tls.example port 443: Connection refused", Cause.NOT_CONNECTED),
    ("Connection timed out after 3001 milliseconds", Cause.NOT_CONNECTED),
    ("no socket for the address 10.0.0.1: Too many open files", Cause.NOT_CONNECTED),
    (f"Connection refused. Besides, {describe_refused(['10.0.0.1'])}", Cause.NOT_CONNECTED),
    ("SSL certificate problem: certificate has expired", Cause.CERTIFICATE),
    ("SSL certificate problem: self-signed certificate", Cause.CERTIFICATE),
    ("SSL: no alternative certificate subject name matches target host name 'timeout.example'",
     Cause.CERTIFICATE),
    ("SSL: certificate subject name 'a' does not match target host name 'b'", Cause.CERTIFICATE),
    ("server certificate verification failed. CAfile: none CRLfile: none", Cause.CERTIFICATE),
    ("the token endpoint https://id.example/token answered 401 invalid_client", Cause.TOKEN),
    (f"{NOTHING_SENT}the token endpoint https://id.example/token answered 401", Cause.TOKEN),
    (f"the token endpoint http://id.example/ gave no response: {describe_refused(['10.0.0.1'])}",
     Cause.TOKEN),
    (describe_proxied(56, "", proxy=PROXY, status=407, verified=0), Cause.PROXY),
    (describe_proxied(7, "", proxy=PROXY, status=0, verified=0), Cause.PROXY),
    (describe_refused(["10.0.0.1"], proxy=PROXY), Cause.PROXY),
    (describe_tls(60, "certificate has expired", verified=10, trust=Trust()), Cause.CERTIFICATE),
    (describe_tls(60, "unable to get", verified=20, trust=Trust(own_authorities=True)),
     Cause.CERTIFICATE),
    (describe_tls(77, "", verified=0, trust=Trust(own_authorities=True)), Cause.CERTIFICATE),
    (describe_tls(56, "tlsv13 alert certificate required", verified=0, trust=Trust()),
     Cause.CLIENT_CERTIFICATE),
    (describe_tls(35, "ssl/tls alert handshake failure", verified=0, trust=Trust()), Cause.TLS),
    (describe_tls(60, "SSL certificate verification failed", verified=0,
                  trust=Trust(own_certificate=True)), Cause.CLIENT_CERTIFICATE),
    (describe_tls(56, "alert unknown ca", verified=0, trust=Trust(own_certificate=True)),
     Cause.CLIENT_CERTIFICATE),
    (describe_tls(58, "no start line", verified=0, trust=Trust(own_certificate=True)),
     Cause.CLIENT_CERTIFICATE),
    ("TLS connect error: error:0A00010B:SSL routines::wrong version number", Cause.TLS),
    ("gnutls_handshake() failed: An unexpected TLS packet was received.", Cause.TLS),
    ("Operation timed out after 5000 milliseconds with 0 bytes received", Cause.TIMEOUT),
    ("timed out after 5 s", Cause.TIMEOUT),
    ("SSL connection timeout", Cause.TIMEOUT),
    ("began to answer 200, then: Operation timed out after 9 milliseconds", Cause.TIMEOUT),
    ("Empty reply from server", Cause.CUT_OFF),
    ("Recv failure: Connection reset by peer", Cause.CUT_OFF),
    ("Send failure: Broken pipe", Cause.CUT_OFF),
    (describe_error(65, "necessary data rewind was not possible"), Cause.CUT_OFF),
    ("began to answer 200, then: transfer closed with 1 bytes remaining to read", Cause.CUT_OFF),
    ("end of response with 9 bytes missing", Cause.CUT_OFF),
    ("OpenSSL SSL_connect: SSL_ERROR_SYSCALL in connection to a.example:443", Cause.CUT_OFF),
    ("TLS connect error: error:0A000126:SSL routines::unexpected eof while reading",
     Cause.CUT_OFF),
    ("its secret cannot be decrypted: no key opens it", Cause.KEY),
    ("its protocol soap is not supported; supported: pam, seamless", Cause.KEY),
    ("the request could not be built (KeyError)", Cause.PROGRAM),
    ("the response could not be read (ValueError)", Cause.PROGRAM),
    ("the HTTP client failed and was restarted", Cause.PROGRAM),
    ("the call could not be started (MemoryError)", Cause.PROGRAM),
    ("libcurl gave up with its error 77", Cause.OTHER),
    (NO_DETAILS, Cause.OTHER),
]  # fmt: skip


@pytest.mark.parametrize(("problem", "cause"), WORDS)
def test_the_cause_is_read_from_what_the_last_attempt_met(problem, cause):
    assert cause_of(problem) is cause
    assert cause_of(RUNNING + problem) is cause
    assert cause_of(f"answered 401; the last: {problem}") is cause
    assert cause_of(f"refused 10 notices in a row; the last: {problem}") is cause


@pytest.mark.parametrize("reason", [None, "", "something new"])
def test_what_says_nothing_known_is_other(reason):
    assert cause_of(reason) is Cause.OTHER


def test_each_cause_is_met_by_an_example_and_has_an_advice_of_its_own():
    assert {cause for _, cause in WORDS} == set(Cause)
    assert len(set(ADVICE.values())) == len(Cause)


def test_a_redirect_has_another_advice_than_a_wrong_secret():
    assert "set acme --url" in advice_for(Cause.REDIRECT, "acme")


@pytest.mark.parametrize(
    ("location", "target"),
    [
        (b"https://new.example/hook", "https://new.example/hook"),
        (b"/elsewhere;v=1 2", "/elsewhere%3Bv=1%202"),
        (b"//u:p@new.example?key=1", "//(masked)@new.example?(masked)"),
        (b"", None),
    ],
)
def test_where_the_last_attempt_was_redirected_to_is_known(location, target):
    moved = redirect_note(HttpResponse(308, b"", headers=[b"Location: " + location]))

    assert redirect_target(f"answered 308{moved}") == target
    assert redirect_target(f"{RUNNING}answered 200 with an empty body{moved}") == target
    assert redirect_target(f"{NOTHING_SENT}the token endpoint x answered 302{moved}; y") == target
    assert redirect_target(f"answered 308{moved}; the last: answered 503") is None


def test_a_secret_is_exchanged_only_where_it_may_be_at_fault():
    named = {cause for cause in Cause if "rotate-secret" in advice_for(cause, "acme")}

    assert named == {Cause.LOCKED_OUT, Cause.KEY}


@pytest.mark.parametrize("cause", Cause)
def test_an_advice_names_commands_that_exist_with_the_operator_s_code(cause):
    advice = advice_for(cause, "acme")
    named = {words.split()[0].strip(",") for words in advice.split("slipway ")[1:]}
    assert named <= set(Slipway.table)
    assert "{" not in advice
