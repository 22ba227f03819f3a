"""What a seamless wallet's response means (contracts 2.3, contracts 2.4), and the request."""

import gzip
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.outbox.values import Claim
from models.platform.signing import sign_seamless
from models.vocabulary import Action
from tests.support.sample_notice import NOW, PARTNER, WIN
from worker.delivery.http.decoding import decoded
from worker.delivery.http.exchange import HttpResponse
from worker.delivery.protocols.adapter import Confirmed, Meaning, NotNow, Rejected, Unclear
from worker.delivery.protocols.seamless import SeamlessAdapter

TRANSACTION = "645adfee-d50d-50e2-9561-01b57f4a4fa1"
WALLET = replace(PARTNER, protocol="seamless", url="https://wallet.example/api/", agent="agentId")
PAYOUT = replace(WIN, path="/payout", body=f'{{"amount":12.34,"transactionId":"{TRANSACTION}"}}')
CANCEL = replace(PAYOUT, action=Action.REFUND, path="/cancel")


def reading(answer: object, *, status: int = 200, claim: Claim = PAYOUT) -> Meaning:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return SeamlessAdapter().interpret(
        claim, WALLET, decoded(HttpResponse(status, body), bytes_max=64 * 1024)
    )


def coded(code: object, message: str = "words") -> dict[str, object]:
    return {"status": {"code": code, "message": message}}


def success(**changes: object) -> bytes:
    """The answer of a wallet that did what it was asked to; *changes* are JSON texts."""
    data = {"before": "100", "after": "112.34", "refId": f'"{TRANSACTION}"'} | changes
    return (
        '{"status":{"code":0,"message":"Success"},"data":{"username":"member001",'
        '"wallet":{"balance":112.34,"lastUpdate":"2019-12-01T18:01:51.686Z"},'
        f'"balance":{{"before":{data["before"]},"after":{data["after"]}}},'
        f'"refId":{data["refId"]}}}}}'
    ).encode()


def doubts(answer: bytes, *, claim: Claim = PAYOUT) -> object:
    meaning = reading(answer, claim=claim)
    assert isinstance(meaning, Confirmed)
    assert meaning.remarks is not None
    return meaning.remarks.get("doubts")


def test_code_0_is_done_and_what_the_wallet_says_is_kept():
    assert reading(success()) == Confirmed(
        {
            "code": 0,
            "message": "Success",
            "ref_id": TRANSACTION,
            "balance_before": "100",
            "balance_after": "112.34",
        }
    )


@pytest.mark.parametrize("status", [200, 201, 301, 400, 403, 500, 503])
def test_the_code_decides_whatever_the_http_status(status):
    """Contracts 2.3 and contracts 2.5: `status.code` decides."""
    assert isinstance(reading(success(), status=status), Confirmed)
    assert isinstance(reading(coded(997), status=status), Rejected)
    assert isinstance(reading(coded(999), status=status), NotNow)


@pytest.mark.parametrize("code", [800, 908, 995, 997, 998])
def test_a_code_that_says_our_request_is_wrong_is_dead_with_the_wallet_s_words(code):
    meaning = reading(coded(code, "no\x00 such\x1b member"))

    assert isinstance(meaning, Rejected)
    assert meaning.text == "no\ufffd such\ufffd member"
    assert f"status.code {code} (" in meaning.problem
    assert "member" not in meaning.problem


@pytest.mark.parametrize("code", [999, 1600, 1601, 1602, 607, 900, 806, -1, 123456])
def test_any_other_code_may_be_better_another_time(code):
    assert isinstance(reading(coded(code)), NotNow)


@pytest.mark.parametrize(
    ("body", "flaw"),
    [
        (b"", "with an empty body"),
        (b" \r\n", "with an empty body"),
        (b"<html>welcome</html>", "with a body that is not JSON"),
        (b'{"status":{"code":0', "with a body that is not JSON"),
        (success()[:-1], "with a body that is not JSON"),
        (b"[" * 60_000, "with a body that is not JSON"),
        (b'{"status":' * 60_000 + b"0" + b"}" * 60_000, "with a body that is not JSON"),
        (b'{"status":{"code":' + b"9" * 5_000 + b"}}", "with a body that is not JSON"),
        (b'{"status":{"code":1e99999999999999999999}}', "with a body that is not JSON"),
        (b"\xff\xfe", "with a body that is not UTF-8"),
        (b"\x1f\x8b", "with a compressed body (gzip), which was not asked for; it is damaged"),
        (b"[0]", "without a status.code"),
        (b"0", "without a status.code"),
        (b'{"status":0}', "without a status.code"),
        (b'{"code":0}', "without a status.code"),
        (b'{"data":{"status":{"code":0}}}', "without a status.code"),
        (b'{"status":[{"code":0}]}', "without a status.code"),
        *(
            (b'{"status":{"code":%s}}' % code, "with a status.code that is not a whole number")
            for code in (
                *(b"0.5", b"1e999999", b"NaN", b"Infinity", b"true", b"false", b"null", b"[0]"),
                *(b'""', b'"ok"', b'"0.5"', b'"0x0"', b'"0 0"', b'"\\u0660"', b'"0000000000"'),
            )
        ),
        (b'{"status":{"code":0,"code":997}}', "with two different values of status.code"),
        (b'{"status":{"code":997,"code":0}}', "with two different values of status.code"),
        (b'{"status":{"code":0,"code":false}}', "with two different values of status.code"),
        (b'{"status":{"code":0,"code":"0"}}', "with two different values of status.code"),
        (b'{"status":{"code":0},"status":{"code":997}}', "with two different values of status"),
    ],
)  # fmt: skip
def test_an_answer_without_a_code_is_no_success_and_says_what_is_wrong_with_it(body, flaw):
    """Rule 15: HTTP says yes, so the wallet may have acted."""
    assert reading(body) == Unclear(f"answered 200 {flaw}")


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "zstd"])
def test_a_compressed_answer_is_called_so_by_its_header(coding):
    why = "it cannot be unpacked here" if coding in {"br", "zstd"} else "it is damaged"
    meaning = SeamlessAdapter().interpret(
        PAYOUT, WALLET, HttpResponse(200, b"\x8b\x07\x80", encoding=coding.upper())
    )

    assert meaning == Unclear(
        f"answered 200 with a compressed body ({coding}), which was not asked for; {why}"
    )


@pytest.mark.parametrize("status", [*range(200, 207), 408, 502, 504, *range(520, 525)])
def test_an_unreadable_success_or_a_front_end_that_gave_up_leaves_open_what_was_done(status):
    assert isinstance(reading(b"<html>", status=status), Unclear)


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 425, 429, 500, 501, 503, 505, 525])
def test_any_other_status_without_a_code_says_that_it_was_not_done(status):
    assert isinstance(reading(b"<html>", status=status), NotNow)


@pytest.mark.parametrize(
    ("body", "doubt"),
    [
        (b" \r\n\t" + success() + b"\r\n\r\n", None),
        (success().replace(b"Success", b"line\nline"), None),
        (success().replace(b'"code":0', b'"code":0,"code":0'), None),
        (gzip.compress(success(), mtime=0), None),
        (gzip.compress(success()[:50], mtime=0) + gzip.compress(success()[50:], mtime=0), None),
        (b"\xef\xbb\xbf" + success(), "answer_byte_order_mark"),
        (success().replace(b"Success", b"Erfolg f\xfcr Sie"), "answer_not_utf_8"),
        (success().decode().encode("utf-16"), "answer_utf_16"),
        (success().decode().encode("utf-16-le"), "answer_utf_16"),
        (success().decode().encode("utf-16-be"), "answer_utf_16"),
        *(
            (success().replace(b'"code":0', b'"code":' + code), "code_as_text")
            for code in (b'"0"', b'"0.0"', b'" 0 "', b'"-0"', b'"00"')
        ),
    ],
)
def test_what_is_plain_is_read_however_odd_the_rest_is(body, doubt):
    assert isinstance(reading(body), Confirmed)
    assert doubts(body) == (None if doubt is None else [doubt])


def test_a_header_that_says_compressed_changes_nothing_about_what_is_plain():
    assert isinstance(
        SeamlessAdapter().interpret(PAYOUT, WALLET, HttpResponse(200, success(), encoding="gzip")),
        Confirmed,
    )


def test_refusals_are_read_from_text_as_well():
    assert isinstance(reading(coded("997")), Rejected)
    assert isinstance(reading(coded(" 999 ")), NotNow)


# --- too long -------------------------------------------------------------------------------------


def cut(body: bytes, *, claim: Claim = PAYOUT) -> Meaning:
    return SeamlessAdapter().interpret(
        claim, WALLET, HttpResponse(200, body[: 64 * 1024], truncated=True)
    )


def test_of_an_answer_that_is_too_long_the_beginning_counts():
    long = success().replace(b'"refId"', b'"history":"' + b"x" * 70_000 + b'","refId"')

    meaning = cut(long)

    assert isinstance(meaning, Confirmed)
    assert meaning.remarks is not None
    assert meaning.remarks["doubts"] == ["ref_id_missing", "balance_missing", "answer_cut"]


def test_what_stood_whole_before_the_cut_is_known():
    meaning = cut(success()[:-1] + b',"history":"' + b"x" * 70_000 + b'"}')

    assert isinstance(meaning, Confirmed)
    assert meaning.remarks is not None
    assert meaning.remarks["doubts"] == ["answer_cut"]


@pytest.mark.parametrize("code", [997, 999])
def test_a_refusal_before_the_cut_is_one(code):
    expected = Rejected if code == 997 else NotNow

    assert isinstance(cut(json.dumps(coded(code)).encode()[:-1] + b', "x":"' * 20_000), expected)


@pytest.mark.parametrize(
    "body",
    [
        b'{"data":"' + b"x" * 70_000 + b'","status":{"code":0}}',
        b'{"status":{"code":0,"message":"' + b"x" * 70_000 + b'"}}',
        b'{"status":{"code":0},"status":{"code":1},"x":"' + b"x" * 70_000 + b'"}',
        b'{1:2,"status":{"code":0},"x":"' + b"x" * 70_000 + b'"}',
        b'{"a":' * 20_000,
        b"x" * 70_000,
        b"{" + b" " * 70_000,
    ],
    ids=["behind", "within", "twice", "no name", "deep", "no JSON", "blank"],
)
def test_a_code_that_is_not_whole_before_the_cut_is_none(body):
    assert cut(body) == Unclear(
        "answered 200 with a body cut at 64 KiB, without a whole status before that"
    )


@given(st.integers(min_value=0, max_value=len(success())))
def test_wherever_an_answer_is_cut_its_code_is_right_or_unknown(length):
    meaning = cut(success()[:length])

    assert isinstance(meaning, Confirmed | Unclear)


# --- done already ---------------------------------------------------------------------------------

AGAIN = replace(PAYOUT, number=2, tries=1)


@pytest.mark.parametrize("code", [806, 807, 900])
def test_a_cancel_that_was_asked_for_before_is_done_with_a_doubt(code):
    """Contracts 2.5: a second cancel is answered 807 by one integrator, 806 by another."""
    meaning = reading(coded(code), claim=replace(CANCEL, number=2))

    assert isinstance(meaning, Confirmed)
    assert meaning.remarks is not None
    assert meaning.remarks["doubts"] == ["already_done_at_a_repeat"]
    assert meaning.remarks["code"] == code


@pytest.mark.parametrize("code", [806, 807, 900])
def test_a_first_cancel_that_was_done_already_waits_for_a_person(code):
    """The same call would get the same answer for 48 h."""
    meaning = reading(coded(code), claim=CANCEL)

    assert isinstance(meaning, Rejected)
    assert meaning.problem.endswith("to the first call")


@pytest.mark.parametrize("code", [806, 900])
def test_a_payout_that_was_done_already_counts_if_it_may_have_been_ours(code):
    """Contracts 2.5: a second payout for a round is answered 806 (AMBSlot: 900)."""
    ours = reading(coded(code), claim=replace(AGAIN, perhaps_delivered=True))

    assert isinstance(ours, Confirmed)
    assert ours.remarks is not None
    assert ours.remarks["doubts"] == ["already_done_at_a_repeat"]
    assert isinstance(reading(coded(code), claim=AGAIN), NotNow)


def test_a_payout_for_a_cancelled_round_was_not_done():
    assert isinstance(reading(coded(807), claim=replace(AGAIN, perhaps_delivered=True)), NotNow)


@pytest.mark.parametrize("written", ["0", "0.0", "0e5", "-0", "0E-9"])
def test_zero_is_zero_however_it_is_written(written):
    assert isinstance(reading(b'{"status":{"code":%s}}' % written.encode()), Confirmed)


@given(st.binary(max_size=300))
def test_no_answer_breaks_the_reader(body):
    assert isinstance(reading(body), Confirmed | NotNow | Unclear | Rejected)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.dictionaries(
            st.sampled_from(["status", "data", "code", "balance", "before", "after", "refId"]),
            inner,
        ),
    )
)
def test_no_document_breaks_the_reader(document):
    assert isinstance(reading(document), Confirmed | NotNow | Unclear | Rejected)


# --- doubts: a success that a person should look at -----------------------------------------------


def test_a_ref_id_that_is_not_ours_is_flagged():
    assert doubts(success(refId='"another"')) == ["ref_id_not_ours"]
    assert doubts(success(refId="null")) == ["ref_id_missing"]
    assert doubts(success(refId=f'"{TRANSACTION.upper()}"')) is None


@pytest.mark.parametrize("claim", [PAYOUT, CANCEL], ids=["payout", "cancel"])
@pytest.mark.parametrize(
    ("before", "after", "flagged"),
    [
        ("100", "112.34", None),
        ("100.00", "112.340", None),
        ("-100", "-87.66", None),
        ("0.1", "12.44", None),  # in floats 12.44 - 0.1 is not 12.34
        ("1e2", "11234E-2", None),
        ("99999999999999999999999999999.01", "100000000000000000000000000011.35", None),
        ("100", "100", ["balance_moved_otherwise"]),
        ("10000", "0", ["balance_moved_otherwise"]),
        ("100", "87.66", ["balance_moved_otherwise"]),
        ("99999999999999999999999999999.01", "100000000000000000000000000011.36",
         ["balance_moved_otherwise"]),
        ("null", "112.34", ["balance_missing"]),
        ('"100"', "112.34", ["balance_missing"]),
        ("100", "1e999999", ["balance_missing"]),
        ("100", "1e-999999", ["balance_missing"]),
        ("100", "NaN", ["balance_missing"]),
        ("1" * 41, "112.34", ["balance_missing"]),
    ],
)  # fmt: skip
def test_a_balance_that_did_not_move_by_the_amount_is_flagged(claim, before, after, flagged):
    """Exactly: both calls credit (contracts 2.2), and no number passes through a float."""
    assert doubts(success(before=before, after=after), claim=claim) == flagged


def test_a_repeat_that_moved_nothing_is_told_apart():
    """The first attempt may have moved it (contracts 5.4: a duplicate is answered 0)."""
    repeat = replace(PAYOUT, number=2)
    unmoved = success(before="100", after="100")

    assert doubts(unmoved, claim=repeat) == ["balance_unmoved_at_a_repeat"]
    assert doubts(success(after="101"), claim=repeat) == ["balance_moved_otherwise"]


# --- the request ----------------------------------------------------------------------------------


@pytest.mark.parametrize("base", ["https://wallet.example/api", "https://wallet.example/api/"])
def test_the_call_s_path_stands_behind_the_operator_s_url(base):
    request = SeamlessAdapter().build_request(CANCEL, replace(WALLET, url=base), secret="s", at=NOW)

    assert request.url == "https://wallet.example/api/cancel"
    assert request.body == CANCEL.body.encode()
    assert request.headers == {"Content-Type": "application/json"}


def test_a_wallet_that_asks_for_it_gets_a_signature():
    """Contracts 2.1."""
    signing = replace(WALLET, sign_calls=True)

    request = SeamlessAdapter().build_request(PAYOUT, signing, secret="12345ABCDE", at=NOW)

    assert request.headers["x-amb-signature"] == sign_seamless(request.body, secret="12345ABCDE")


def test_a_ping_asks_for_a_balance_and_any_code_is_an_answer():
    """Contracts 2.0: the protocol has no ping; `/balance` only reads."""
    request = SeamlessAdapter().build_ping(WALLET, secret="")

    assert request.url == "https://wallet.example/api/balance"
    assert request.body == b'{"username":"slipway-ping","agentId":"agentId"}'
    assert SeamlessAdapter().is_ping_response(
        WALLET, HttpResponse(200, json.dumps(coded(908)).encode())
    )
    assert not SeamlessAdapter().is_ping_response(WALLET, HttpResponse(200, b"It works"))


@pytest.mark.parametrize(("claim", "code"), [(PAYOUT, 806), (PAYOUT, 900), (CANCEL, 807)])
def test_what_a_wallet_did_before_is_done_when_it_is_sent_again(claim: Claim, code: int):
    """Its original was confirmed, so the first call of a repeat is none (rule 22)."""
    repeat = replace(claim, repeat=1)

    assert isinstance(reading(coded(code), claim=repeat), Confirmed)
    assert not isinstance(reading(coded(code), claim=claim), Confirmed)
    assert doubts(success(after="100"), claim=replace(PAYOUT, repeat=1)) == [
        "balance_unmoved_at_a_repeat"
    ]
