"""What is kept of an attempt, and the page's view of it: the exact request beside the response."""

import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from typing import Any

import pytest

from models.access.values import Access, Basic, Header
from models.history.request import SIGNATURE, ShownAttempt, find_attempt
from models.operators.access import set_access
from models.operators.interventions import Person
from models.outbox.values import ANSWER_MAX, FAILURE_ANSWER_MAX
from models.platform.signing import sign_seamless, verify
from tests.support import databases
from tests.support.command_line import CommandLine
from tests.support.delivery_setup import KEY, SECRET
from tests.support.raw_server import Line, RawServer, raw_server
from tests.support.wallet_setup import settle

HOSTILE = "T'$(touch${IFS}owned)`id`\\\"é"
needs_curl = pytest.mark.skipif(
    shutil.which("curl") is None or shutil.which("openssl") is None,
    reason="runs the commands curl and openssl, which are not installed",
)


def responding(*responses: bytes, requests: list[bytes]) -> Any:  # noqa: ANN401 - a conversation
    """A conversation that notes each request and sends the next of *responses*; the last again."""

    def converse(line: Line) -> None:
        while (request := line.request()) is not None:
            requests.append(request)
            line.send(responses[min(len(requests), len(responses)) - 1])

    return converse


def response(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def shown(delivery, claim: int = 1) -> ShownAttempt:
    (row,) = delivery.attempts("notice", f"claim = {claim}")
    with delivery.engine.begin() as connection:
        attempt = find_attempt(connection, row.notice, claim)
    assert attempt is not None
    return attempt


def headers_of(request: bytes) -> list[tuple[str, str]]:
    lines = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return [(name, value) for name, _, value in (line.partition(": ") for line in lines)]


def test_a_failed_attempt_shows_the_request_byte_for_byte_and_all_of_the_response(delivery):
    requests: list[bytes] = []
    page = b"<html>" + b"a" * 5_000 + b"</html>"
    failure = response("503 Busy", page, "Server: nginx", "Set-Cookie: sid=deadbeef")
    with raw_server(responding(failure, requests=requests)) as server:
        delivery.operator("acme", f"{server.url}hook?key=deadbeef")
        delivery.publish("acme", ("ticket_win", "T/1"))
        delivery.deliver()

    attempt = shown(delivery)

    (request,) = requests
    sent = headers_of(request)
    signature = dict(sent)["signature"]
    assert [(n, SIGNATURE if n == "signature" else v) for n, v in sent] == [
        *attempt.request.headers
    ]
    assert (attempt.request.body or "").encode() == request.partition(b"\r\n\r\n")[2]
    assert attempt.request.url == f"{server.url}hook?key=(masked)"
    assert attempt.sent_at is not None
    assert str(int(attempt.sent_at.timestamp())) == dict(sent)["timestamp"]
    assert (attempt.remote_address, attempt.http_status) == ("127.0.0.1", 503)
    assert (attempt.answer, attempt.answer_cut) == (page.decode(), False)
    assert attempt.response_headers == (
        ("Server", "nginx"),
        ("Set-Cookie", "(masked)"),
        ("Content-Length", str(len(page))),
    )
    for secret in (signature, SECRET, "deadbeef"):
        assert secret not in str(attempt.request)
        assert secret not in str(attempt)


def test_a_plain_success_keeps_when_and_where_and_little_else(delivery):
    requests: list[bytes] = []
    success = response("200 OK", b"y" * 3_000, "Server: nginx")
    with raw_server(responding(success, requests=requests)) as server:
        delivery.operator("acme", server.url)
        delivery.publish("acme", ("ticket_win", "T"))
        delivery.deliver()

    (row,) = delivery.attempts()
    assert delivery.rows("SELECT FROM delivery_attempt") == [], "its notice keeps it"
    attempt = shown(delivery)

    assert row.sent_at == delivery.clock.now()
    assert row.remote_address == IPv4Address("127.0.0.1")
    assert row.response_headers is None
    assert (attempt.answer, attempt.answer_cut) == ("y" * ANSWER_MAX, True)


def test_the_limits_of_what_is_kept_hold_and_it_says_that_there_was_more(delivery):
    requests: list[bytes] = []
    many = [f"X-{n}: {'v' * 100}" for n in range(100)]
    endless = response("400 Bad", b"z" * 60_000, "X-Long: " + "l" * 5_000, *many)
    with raw_server(responding(endless, requests=requests)) as server:
        delivery.operator("acme", server.url)
        delivery.publish("acme", ("ticket_win", "T"))
        delivery.deliver()

    attempt = shown(delivery)

    assert (len(attempt.answer or ""), attempt.answer_cut) == (FAILURE_ANSWER_MAX, True)
    assert sum(len(name) + len(value) for name, value in attempt.response_headers) <= 4096
    assert attempt.response_headers[0] == ("X-0", "v" * 100)
    assert len(attempt.response_headers) + attempt.response_headers_omitted == 102


def test_our_own_secret_in_a_header_is_not_kept(delivery):
    echo = response("401 No", b"", f"X-Debug: {SECRET}")
    with raw_server(responding(echo, requests=[])) as server:
        delivery.operator("acme", server.url)
        delivery.publish("acme", ("ticket_win", "T"))
        delivery.deliver()

    assert ("X-Debug", "(secret)") in shown(delivery).response_headers


def test_what_never_reached_the_partner_has_no_address(delivery):
    with raw_server(responding(b"", requests=[])) as server:
        delivery.operator("acme", server.url)
    delivery.publish("acme", ("ticket_win", "T"))
    delivery.deliver()

    attempt = shown(delivery)

    assert (attempt.remote_address, attempt.http_status) == (None, None)
    assert attempt.sent_at == delivery.clock.now()
    assert attempt.response_headers == ()


def test_the_command_line_shows_the_last_attempt_or_the_one_that_is_named(
    delivery, monkeypatch, capsys
):
    slipway = CommandLine(monkeypatch, capsys)
    slipway.export(
        database_url=databases.address_of(delivery.engine),
        redis_url="redis://127.0.0.1/0",
        secret_key=KEY,
    )
    answers = (response("503 Busy", b"a\x1b[31m\nb"), response("200 OK", b"fine"))
    with raw_server(responding(*answers, requests=[])) as server:
        delivery.operator("acme", server.url)
        delivery.publish("acme", ("ticket_win", "T"))
        delivery.deliver()
        delivery.clock.advance(timedelta(minutes=1))
        delivery.deliver()
    notice = str(shown(delivery).notice)

    last, first = slipway("notices", "attempt", notice), slipway("notices", "attempt", notice, "1")
    lines = slipway("notices", "attempt", notice, "--curl")
    document = slipway("notices", "attempt", notice, "1", "--json").document()
    nothing = slipway("notices", "attempt", notice, "3")

    assert "    status 200\n" in last.out
    assert "    status 503\n" in first.out
    assert "\x1b" not in first.out
    assert f"    POST {server.url}\n" in first.out
    assert "    signature: (signature)\n" in first.out
    assert lines.out.startswith("body='{")
    assert document["remote_address"] == "127.0.0.1"
    assert document["request"]["headers"][0] == ["Host", f"127.0.0.1:{server.port}"]
    assert (nothing.code, f"no attempt 3 to send notice {notice}" in nothing.err) == (1, True)


@needs_curl
def test_the_command_for_a_shell_sends_what_the_partner_verifies(delivery, tmp_path):
    """Whatever stands in the body: nothing of it is executed."""
    requests: list[bytes] = []
    with raw_server(
        responding(response("503 Busy"), response("200 OK"), requests=requests)
    ) as server:
        delivery.operator("acme", server.url)
        delivery.publish("acme", ("ticket_refund", HOSTILE), reason="it's \\ off")
        delivery.deliver()
        run(shown(delivery), server, tmp_path)

    first, again = requests
    headers = dict(headers_of(again))
    assert again.partition(b"\r\n\r\n")[2] == first.partition(b"\r\n\r\n")[2]
    assert headers["Idempotency-Key"] == dict(headers_of(first))["Idempotency-Key"]
    now = datetime.fromtimestamp(int(headers["timestamp"]), UTC)
    assert verify(
        again.partition(b"\r\n\r\n")[2],
        timestamp=headers["timestamp"],
        signature=headers["signature"],
        secrets=[SECRET],
        now=now,
        window=now - now,
    )
    assert not list(tmp_path.iterdir())


@needs_curl
def test_the_command_for_a_signed_wallet_call_does_so_too(delivery, tmp_path):
    requests: list[bytes] = []
    with raw_server(
        responding(response("503 Busy"), response("200 OK"), requests=requests)
    ) as server:
        delivery.operator("house", server.url, protocol="seamless", agent="A", sign_calls=True)
        settle(delivery, "ticket_win", "R'1")
        delivery.deliver()
        attempt = shown(delivery)
        run(attempt, server, tmp_path)

    first, again = requests
    assert again.startswith(b"POST /payout ")
    body = again.partition(b"\r\n\r\n")[2]
    assert body == first.partition(b"\r\n\r\n")[2]
    signature = dict(headers_of(again))["x-amb-signature"]
    assert signature == sign_seamless(body, secret=SECRET)
    assert dict(attempt.request.headers)["x-amb-signature"] == SIGNATURE
    assert signature not in str(attempt.request)


@needs_curl
@pytest.mark.parametrize(
    ("access", "variables"),
    [
        (
            Access(
                headers=(
                    Header("X-Api-Key", "canary-1'`id`"),
                    Header("X-`id`$HOME'", "it's open", secret=False),
                ),
                basic=Basic('us"$HOME', "canary-2$"),
            ),
            {"PASSWORD": "canary-2$", "HEADER_1_X_API_KEY": "canary-1'`id`"},
        ),
        (Access(bearer="canary-3$(id)"), {"TOKEN": "canary-3$(id)"}),
    ],
    ids=["basic", "bearer"],
)
def test_the_access_is_shown_masked_and_the_command_sends_it(delivery, tmp_path, access, variables):
    requests: list[bytes] = []
    answers = (response("503 Busy"), response("200 OK"))
    with raw_server(responding(*answers, requests=requests)) as server:
        delivery.operator("acme", server.url)
        allow(delivery, access)
        delivery.publish("acme", ("ticket_win", "T"))
        delivery.deliver()
        attempt = shown(delivery)
        run(attempt, server, tmp_path, **variables)

    sent, again = map(headers_of, requests)
    assert [name for name, _ in sent] == [name for name, _ in attempt.request.headers]
    headers = dict(attempt.request.headers)
    assert headers["Authorization"] in {"Basic (masked)", "Bearer (masked)"}
    for header in access.headers:
        assert headers[header.name] == ("(masked)" if header.secret else header.value)
    for name in ("Authorization", *(header.name for header in access.headers)):
        assert dict(again)[name] == dict(sent)[name]
    assert "canary" not in f"{attempt} {attempt.request}"
    assert not list(tmp_path.iterdir())


def allow(delivery, access: Access) -> None:
    """Give the operator this access."""
    now = delivery.clock.now()
    person = Person("anna", "needed")
    with delivery.engine.begin() as connection:
        set_access(connection, "acme", access, now=now, vault=delivery.vault, person=person)


def run(attempt: ShownAttempt, server: RawServer, folder: object, **variables: str) -> None:
    """Run the attempt's command in a shell, in a folder in which it should leave nothing."""
    command = attempt.request.curl
    assert command is not None
    assert server.url in command
    environment = {"PATH": os.environ["PATH"], "SECRET": SECRET, "no_proxy": "*", **variables}
    ended = subprocess.run(
        ["/bin/sh", "-eu", "-c", command],
        cwd=str(folder),
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "200 OK" in ended.stdout
