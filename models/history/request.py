"""One attempt for people: the exact request beside everything that is stored of the response.

The request is rebuilt from the notice, the operator's present address and access, and the time at
which it was signed. Its signature is not shown. It was not stored, so it would have to be computed
again, with a secret that may be another one by now; the page would need that secret; and within the
partner's window a signed call can be repeated by everyone who reads it. A partner who compares
signatures has the secret, and `curl` below computes it from the reader's own copy. The secrets of
the access are masked, and variables of the reader's shell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from shlex import quote
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

from sqlalchemy import Connection, Row, text

from models.events.stored import stored_object
from models.history.access_headers import MASKED, curl_options, shown_headers
from models.history.values import BodiesRemoved
from models.notices.key import plain_key
from models.notices.request import (
    FIXED_HEADERS,
    SEAMLESS,
    SEAMLESS_SIGNATURE_HEADER,
    OutgoingRequest,
    default_user_agent,
    pam_request,
    seamless_request,
    with_trace,
)
from models.notices.short_body import WHOLE_BODY
from models.outbox.attempts import ATTEMPTS
from models.outbox.values import ANSWER_MAX, FAILURE_ANSWER_MAX
from models.vocabulary import Action

SIGNATURE: Final = "(signature)"
NOT_RECORDED: Final = "(not recorded)"  # by an earlier release
_USER_AGENT: Final = "User-Agent"

_PAM_SIGNATURE: Final = (
    'signature=$(printf %s%s "$timestamp" "$body" |'
    ' openssl dgst -sha256 -hmac "${SECRET:?is not set}" | sed "s/^.* //")'
)
_SEAMLESS_SIGNATURE: Final = (
    "signature=$(openssl kdf -keylen 64 -kdfopt digest:SHA512 -kdfopt iter:1000"
    ' -kdfopt "pass:$body" -kdfopt "salt:${SECRET:?is not set}" -binary PBKDF2 |'
    " base64 -w0)"
)

ATTEMPT: Final = text(f"""
    SELECT n.id AS notice, d.claim, o.code AS operator, t.ticket_id, n.action, n.generation,
           n.path, {WHOLE_BODY} AS body,
           n.idempotency_key, o.protocol, o.url, o.sign_calls, o.user_agent,
           CASE WHEN o.access_switch_at <= now() THEN o.next_access_facts
                ELSE o.access_facts END AS access_facts,
           d.verdict, d.problem, d.http_status, d.took_ms, d.answer, d.remarks, d.sent_at,
           d.remote_address, d.response_headers, d.traceparent, d.recorded_at,
           t.bodies_removed_at, coalesce(t.closed_at, t.cancelled_at) AS ended_at,
           (SELECT max(e.claim) FROM {ATTEMPTS} e
             WHERE e.notice = d.notice AND e.claim < d.claim) AS claim_before,
           (SELECT min(e.claim) FROM {ATTEMPTS} e
             WHERE e.notice = d.notice AND e.claim > d.claim) AS claim_after
      FROM {ATTEMPTS} d
      JOIN notice n ON n.id = d.notice
      JOIN ticket t ON t.id = n.ticket
      JOIN operator o ON o.id = n.operator
     WHERE d.notice = :notice AND (CAST(:claim AS int) IS NULL OR d.claim = :claim)
     ORDER BY d.claim DESC LIMIT 1""")  # noqa: S608 - a constant


@dataclass(frozen=True, slots=True)
class ShownRequest:
    """A request as it went out, with its secrets masked, and as a command for a shell."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]  # all of them, in the order in which they were sent
    body: str | None  # None: it is not stored any more
    curl: str | None  # asks for the secret; see `as_curl`. None: nothing can be sent without a body


@dataclass(frozen=True, slots=True)
class ShownAttempt:
    """One attempt: what was sent, and what came back."""

    notice: int
    claim: int
    operator: str
    ticket_id: str
    action: str
    generation: int
    verdict: str
    problem: str | None
    http_status: int | None
    took: timedelta
    sent_at: datetime | None  # None: no request was made, or by an earlier release
    recorded_at: datetime
    remote_address: str | None  # None: there was no connection, or by an earlier release
    request: ShownRequest = field(repr=False)
    answer: str | None = field(repr=False)
    # Why body and answer are no longer stored, as `removed after 30d`. None: they are.
    contents_gone: str | None = None
    answer_cut: bool = False  # there was more of it than is stored
    response_headers: tuple[tuple[str, str], ...] = ()  # of what was not a plain success
    response_headers_omitted: int = 0
    remarks: Mapping[str, Any] | None = None
    claim_before: int | None = None  # of the attempt before this one, and of the one after it
    claim_after: int | None = None


def find_attempt(
    connection: Connection, notice: int, claim: int | None = None, *, contact: str | None = None
) -> ShownAttempt | None:
    """Return the attempt under this claim of the notice, or the last one. None: there is none.

    *contact* is the installation's present one, which its user agent names.
    """
    row = connection.execute(ATTEMPT, {"notice": notice, "claim": claim}).one_or_none()
    if row is None:
        return None
    request = _unsigned(
        row.protocol,
        row.url,
        row.path,
        row.body.encode(),
        timestamp=NOT_RECORDED if row.sent_at is None else str(int(row.sent_at.timestamp())),
        idempotency_key=row.idempotency_key
        or plain_key(row.operator, row.ticket_id, Action(row.action), row.generation),
        is_signed=row.sign_calls,
    )
    if row.traceparent is not None:
        request = with_trace(request, row.traceparent)
    headers = {} if row.response_headers is None else stored_object(row.response_headers)
    limit = ANSWER_MAX if row.response_headers is None else FAILURE_ANSWER_MAX
    return ShownAttempt(
        notice=row.notice,
        claim=row.claim,
        operator=row.operator,
        ticket_id=row.ticket_id,
        action=row.action,
        generation=row.generation,
        verdict=row.verdict,
        problem=row.problem,
        http_status=row.http_status,
        took=timedelta(milliseconds=row.took_ms),
        sent_at=row.sent_at,
        recorded_at=row.recorded_at,
        remote_address=None if row.remote_address is None else str(row.remote_address),
        request=show_request(
            request, contact=contact, user_agent=row.user_agent, access=row.access_facts or {}
        ),
        answer=row.answer,
        contents_gone=_contents_gone(row),
        answer_cut=row.answer is not None and len(row.answer) >= limit,
        response_headers=tuple((name, value) for name, value in headers.get("headers", [])),
        response_headers_omitted=headers.get("omitted", 0),
        remarks=None if row.remarks is None else stored_object(row.remarks),
        claim_before=row.claim_before,
        claim_after=row.claim_after,
    )


def _contents_gone(row: Row[Any]) -> str | None:
    """Return why the body is no longer stored; None: it is. Each attempt had one."""
    if row.body:
        return None
    removed = BodiesRemoved.of(row.bodies_removed_at, row.ended_at)
    return "erased with the player's data" if removed is None else removed.words


def show_request(
    request: OutgoingRequest,
    *,
    contact: str | None,
    user_agent: str | None,
    access: Mapping[str, Any],
) -> ShownRequest:
    """Return *request*, whose signature is `SIGNATURE`, as libcurl sends it, for people.

    *user_agent*: the partner's own; else the installation's is sent, with its *contact*.
    *access*: the facts of its present access, whose secrets are masked. An empty body is one that
    is not stored any more.
    """
    is_stored = bool(request.body)
    parts = urlsplit(request.url)
    url = parts._replace(query=_masked_query(parts)).geturl()
    host = parts.netloc.rpartition("@")[2]
    return ShownRequest(
        method="POST",
        url=url,
        headers=(
            ("Host", host),
            *([] if user_agent else [(_USER_AGENT, default_user_agent(contact))]),
            ("Accept", "*/*"),
            *request.headers.items(),
            *([(_USER_AGENT, user_agent)] if user_agent else []),
            *shown_headers(access),
            *FIXED_HEADERS.items(),
            *([("Content-Length", str(len(request.body)))] if is_stored else []),
        ),
        body=request.body.decode() if is_stored else None,
        curl=as_curl(request, url=url, added=curl_options(access)) if is_stored else None,
    )


def as_curl(request: OutgoingRequest, *, url: str, added: Sequence[str] = ()) -> str:
    """Return *request* as lines for a shell: signed with the reader's own secret, and sent.

    The secret is the variable SECRET. Everything is quoted, so no text in it is executed. The time
    is the reader's, because a partner refuses an old one; the key is the notice's, so the partner
    recognises a repeat. *added*: the options of the partner's access.
    """
    lines = [f"body={quote(request.body.decode())}"]
    headers = dict(request.headers)
    if "signature" in headers:
        lines += [
            "timestamp=$(date +%s)",
            _PAM_SIGNATURE,
        ]
    elif SEAMLESS_SIGNATURE_HEADER in headers:
        lines.append(_SEAMLESS_SIGNATURE)
    computed = {"timestamp": '"timestamp: $timestamp"', "signature": '"signature: $signature"'}
    computed[SEAMLESS_SIGNATURE_HEADER] = f'"{SEAMLESS_SIGNATURE_HEADER}: $signature"'
    shown = [computed.get(name) or quote(f"{name}: {value}") for name, value in headers.items()]
    options = [f"--header {header}" for header in shown]
    call = [f"curl --include --request POST {quote(url)}", *options, *added, '--data-raw "$body"']
    return "\n".join([*lines, " \\\n  ".join(call)])


def _unsigned(
    protocol: str,
    url: str,
    path: str,
    body: bytes,
    *,
    timestamp: str,
    idempotency_key: str,
    is_signed: bool,
) -> OutgoingRequest:
    if protocol == SEAMLESS:
        return seamless_request(url, path, body, signature=SIGNATURE if is_signed else None)
    return pam_request(
        url + path,
        body,
        timestamp=timestamp,
        signature=SIGNATURE,
        idempotency_key=idempotency_key,
    )


def _masked_query(parts: SplitResult) -> str:
    """Return the query with its values masked: a partner may want a password there."""
    if not parts.query:
        return ""
    names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    return "&".join(f"{name}={MASKED}" for name in names)
