"""What a PAM partner's response means for the notice, and what is sent to it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.outbox.values import (
    FAILURE_ANSWER_MAX,
    Claim,
    Dead,
    Delivered,
    RetryLater,
    Unanswered,
    Verdict,
)
from models.vocabulary import Action
from tests.support.sample_notice import NOW, PARTNER, WIN
from worker.delivery.http.exchange import CallResult, HttpResponse, NoResponse, NotReached
from worker.delivery.outcome import RetryPolicy, classify, classify_unsent
from worker.delivery.protocols.pam import PamAdapter

FIRST = timedelta(seconds=10)
POLICY = RetryPolicy(
    schedule=(FIRST, timedelta(hours=2)),
    jitter=0.2,
    limit=timedelta(hours=48),
    discard_interval=timedelta(minutes=30),
)
CREATE = replace(WIN, action=Action.CREATE)
RESERVE = replace(WIN, action=Action.RESERVE)
DISCARD = replace(WIN, action=Action.DISCARD)


def verdict(claim: Claim, reply: CallResult) -> Verdict:
    took = timedelta(milliseconds=20)
    return classify(claim, reply, took=took, partner=PARTNER, policy=POLICY, chance=0).verdict


def answer(status: int, *, retry_after: str | None = None, truncated: bool = False) -> HttpResponse:
    return HttpResponse(status, b"", retry_after=retry_after, truncated=truncated)


def aged(claim: Claim) -> Claim:
    return replace(claim, tries=30, first_tried_at=NOW - timedelta(hours=48))


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_delivers(status):
    assert verdict(WIN, answer(status)) == Delivered()


@pytest.mark.parametrize("claim", [CREATE, RESERVE])
def test_create_and_reserve_are_accepted_by_200_alone(claim):
    """Rules 10 and 15: 202 means "in work", so that the debit may come after it."""
    assert verdict(claim, answer(200)) == Delivered()
    for status in (201, 202, 203, 204, 226, 299):
        assert isinstance(verdict(claim, answer(status)), Unanswered)


@pytest.mark.parametrize("status", [101, 301, 302, 307, 308, 425, 429, 500, 501, 503, 505, 525])
def test_what_may_pass_is_tried_again(status):
    assert verdict(WIN, answer(status)) == RetryLater(FIRST)


@pytest.mark.parametrize("status", [408, 502, 504, 520, 521, 522, 523, 524])
@pytest.mark.parametrize("claim", [WIN, CREATE, RESERVE, DISCARD], ids=lambda claim: claim.action)
def test_when_a_proxy_gave_up_the_partner_may_act_yet(claim, status):
    """Rule 15: as good as no answer."""
    assert isinstance(verdict(claim, answer(status)), Unanswered)
    ended = verdict(aged(WIN), answer(status))
    assert isinstance(ended, Dead)
    assert ended.perhaps_delivered


@pytest.mark.parametrize("claim", [CREATE, RESERVE], ids=lambda claim: claim.action)
@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 422])
def test_a_4xx_refuses_a_create_for_good(claim, status):
    """401 and 403 too: they may be about the player."""
    assert verdict(claim, answer(status)) == Dead(f"answered {status}")


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_signature_never_kills_a_notice(status):
    """A wrong secret concerns everything that is due."""
    assert verdict(WIN, answer(status)) == RetryLater(FIRST)


@pytest.mark.parametrize("status", [400, 402, 404, 405, 409, 410, 413, 422, 451, 499])
def test_any_other_4xx_is_dead(status):
    assert verdict(WIN, answer(status)) == Dead(f"answered {status}")


@given(st.integers(min_value=100, max_value=999))
def test_every_status_has_a_verdict(status):
    assert isinstance(verdict(WIN, answer(status)), Delivered | RetryLater | Unanswered | Dead)


def test_an_answer_too_long_to_be_read_counts_by_its_status():
    assert verdict(WIN, answer(200, truncated=True)) == Delivered()
    assert verdict(WIN, answer(503, truncated=True)) == RetryLater(FIRST)


def test_a_partner_never_reached_is_tried_again():
    assert verdict(WIN, NotReached("no route")) == RetryLater(FIRST)


def test_silence_is_not_the_same_as_no():
    """Rule 15: perhaps delivered, so nothing is sent on that ticket for a while."""
    assert verdict(WIN, NoResponse("timed out")) == Unanswered(FIRST)


@pytest.mark.parametrize("status", [400, 404, 409, 500])
def test_a_discard_goes_on_whatever_the_answer(status):
    """Rule 10: every 30 min until taken."""
    assert verdict(DISCARD, answer(status)) == RetryLater(timedelta(minutes=30))


def test_whether_the_partner_said_no_is_known_beside_the_verdict():
    for claim in (WIN, CREATE, DISCARD):
        for status, refused in ((404, True), (503, False), (504, False), (200, False)):
            made = classify(
                claim,
                answer(status),
                took=FIRST,
                partner=PARTNER,
                policy=POLICY,
                chance=0,
            )
            assert made.refused is refused


@pytest.mark.parametrize(
    "reply", [answer(503), answer(401), NotReached("no route"), NoResponse("timed out")]
)
def test_after_the_limit_the_notice_is_dead_and_says_why(reply):
    ended = verdict(aged(WIN), reply)

    assert isinstance(ended, Dead)
    assert ended.reason.startswith("not taken within 48h; at last: ")


@pytest.mark.parametrize(
    ("reply", "perhaps"),
    [(answer(503), False), (NotReached("no route"), False), (NoResponse("timed out"), True)],
)
def test_what_died_of_a_last_attempt_without_an_answer_is_perhaps_delivered(reply, perhaps):
    """Rule 15: a person must ask before it is skipped."""
    ended = verdict(aged(WIN), reply)

    assert isinstance(ended, Dead)
    assert (ended.perhaps_delivered, ended.out_of_time) == (perhaps, True)


def test_a_discard_is_dead_after_the_limit_too():
    assert isinstance(verdict(aged(DISCARD), answer(404)), Dead)


def test_a_success_counts_at_any_age():
    assert verdict(aged(WIN), answer(200)) == Delivered()


@pytest.mark.parametrize("status", [429, 503, 302])
def test_retry_after_is_honoured(status):
    assert verdict(WIN, answer(status, retry_after="90")) == RetryLater(timedelta(seconds=90))


def test_a_date_in_retry_after_counts_from_the_answer():
    claim = replace(WIN, claimed_at=NOW - timedelta(milliseconds=20))

    late = answer(503, retry_after="Fri, 20 Nov 2026 10:01:00 GMT")

    assert verdict(claim, late) == RetryLater(timedelta(minutes=1))


def test_what_could_not_be_sent_keeps_its_reason():
    attempt = classify_unsent(WIN, "its secret cannot be opened", policy=POLICY, chance=0)

    assert attempt.verdict == RetryLater(FIRST)
    assert attempt.problem == "its secret cannot be opened"
    assert attempt.http_status is None


@given(st.binary(max_size=12_000))
def test_of_the_partners_words_the_beginning_is_kept_as_the_database_can_hold_it(body):
    attempt = classify(
        WIN,
        HttpResponse(500, body),
        took=timedelta(),
        partner=PARTNER,
        policy=POLICY,
        chance=0,
    )

    assert attempt.http_status == 500
    assert attempt.problem == "answered 500"
    if body:
        assert attempt.answer is not None
        assert "\x00" not in attempt.answer
        assert len(attempt.answer) <= FAILURE_ANSWER_MAX
        attempt.answer.encode()  # no half of a pair


def test_an_attempt_is_signed_as_the_contract_says():
    """Contracts 1.3, the vector of ticket_win."""
    at = datetime.fromtimestamp(1706191612, UTC) + timedelta(milliseconds=700)

    request = PamAdapter().build_request(WIN, PARTNER, secret="12345ABCDE", at=at)

    assert request.url == "https://pam.example/hook"
    assert request.body == WIN.body.encode()
    assert request.headers == {
        "Content-Type": "application/json",
        "timestamp": "1706191612",
        "signature": "d9df7456e857cf7d70450a8bccec4078a0373810ef02e2e267098ab25de7c73c",
        "Idempotency-Key": "operator-code/1330556611374148608/ticket_win/2",
    }


def test_a_repeat_has_the_same_bytes_and_key_and_a_signature_of_its_own():
    """H42: the key is the same on every attempt."""
    first = PamAdapter().build_request(WIN, PARTNER, secret="12345ABCDE", at=NOW)
    repeat = PamAdapter().build_request(
        WIN, PARTNER, secret="12345ABCDE", at=NOW + timedelta(seconds=10)
    )

    assert repeat.body == first.body
    assert repeat.headers["Idempotency-Key"] == first.headers["Idempotency-Key"]
    assert repeat.headers["signature"] != first.headers["signature"]


@given(st.text(min_size=1, max_size=64), st.text(min_size=1, max_size=64))
def test_an_idempotency_key_fits_a_header_and_stays_unique(stored_key, other):
    def key(stored: str) -> str:
        claim = replace(WIN, stored_key=stored)
        return (
            PamAdapter()
            .build_request(claim, PARTNER, secret="s", at=NOW)
            .headers["Idempotency-Key"]
        )

    assert key(stored_key).isascii()
    assert key(stored_key).isprintable()
    assert (key(stored_key) == key(other)) == (stored_key == other)


def test_nothing_secret_shows_in_a_request_s_repr():
    request = PamAdapter().build_request(WIN, PARTNER, secret="12345ABCDE", at=NOW)

    assert request.headers["signature"] not in repr(request)
    assert "12345ABCDE" not in repr(request)


# --- by the partner's terms -----------------------------------------------------------------------


def by_terms(claim: Claim, response: HttpResponse, **terms: object) -> Verdict:
    given: dict[str, Any] = dict(terms)
    partner = replace(PARTNER, **given)
    took = timedelta(milliseconds=20)
    return classify(claim, response, took=took, partner=partner, policy=POLICY, chance=0).verdict


@pytest.mark.parametrize("status", [302, 401, 404, 409, 429, 500, 504])
def test_a_status_that_the_terms_take_delivers_whatever_it_means_elsewhere(status):
    taken = f"2xx,{status}"

    for claim in (WIN, DISCARD):
        assert by_terms(claim, answer(status), taken=taken) == Delivered()
    assert by_terms(CREATE, answer(status), create_taken=taken) == Delivered()
    assert by_terms(CREATE, answer(status), taken=taken) == verdict(CREATE, answer(status))
    assert by_terms(WIN, answer(status), create_taken=taken) == verdict(WIN, answer(status))


def test_a_success_that_the_terms_leave_out_is_open():
    assert by_terms(WIN, answer(200), taken="202") == Unanswered(FIRST)
    assert by_terms(WIN, answer(202), taken="202") == Delivered()
    assert by_terms(CREATE, answer(200), create_taken="201") == Unanswered(FIRST)


@pytest.mark.parametrize(
    ("body", "truncated", "is_json"),
    [
        (b"{}", False, True),
        (b"\xef\xbb\xbf [1]\r\n", False, True),
        (b'"ok"', False, True),
        (b'{"a": ' + b"1" * 5000, True, True),
        (b"<html>" + b"1" * 5000, True, False),
        (b'{"a": ', False, False),
        (b"NaN", False, False),
        (b"[" * 60_000, False, False),
        (b"", False, False),
    ],
)
def test_a_success_that_must_be_json_is_open_without(body, truncated, is_json):
    """Rule 15: the status says that it has it. Of a body that was cut off the beginning counts."""
    response = HttpResponse(200, body, truncated=truncated)
    for claim in (WIN, CREATE):
        got = by_terms(claim, response, success_json=True)
        assert got == (Delivered() if is_json else Unanswered(FIRST))


def test_a_success_that_must_hold_a_text_holds_it_in_what_was_read():
    for body, truncated in ((b"it is done", False), (b"done" + b"x" * 5000, True)):
        response = HttpResponse(200, body, truncated=truncated)
        assert by_terms(WIN, response, success_text="done") == Delivered()
    assert by_terms(WIN, answer(200), success_text="done") == Unanswered(FIRST)
    assert by_terms(WIN, HttpResponse(409, b"done"), success_text="done") == verdict(
        WIN, answer(409)
    )


def test_a_ping_is_read_by_the_same_terms():
    adapter, partner = PamAdapter(), replace(PARTNER, taken="201", success_text="pong")

    assert adapter.is_ping_response(partner, HttpResponse(201, b"pong"))
    assert adapter.is_test_response(partner, HttpResponse(201, b"pong"))
    assert not adapter.is_ping_response(partner, HttpResponse(200, b"pong"))
    assert not adapter.is_ping_response(partner, HttpResponse(201, b"hello"))
    assert adapter.explain(partner, HttpResponse(201, b"hello")) == (
        "answered 201 without the text of a success: 'pong'"
    )
    redirect = HttpResponse(301, b"", headers=[b"Location: /hook/?t=1\r\n"])
    assert adapter.explain(partner, redirect) == "answered 301; it redirects to /hook/?(masked)"
