"""What a seamless wallet's answer means for the notice (contracts.md 2.3, 2.4), and the request."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.lifecycle.words import Action
from models.outbox.values import Claim
from models.signing import sign_seamless
from tests.support.owed_notice import NOW, PARTNER, WIN
from worker.delivery.calls import Answer
from worker.delivery.dialect import Meaning, NotNow, Refused, Taken
from worker.delivery.seamless import Seamless

TRANSACTION = "645adfee-d50d-50e2-9561-01b57f4a4fa1"
WALLET = replace(PARTNER, protocol="seamless", url="https://wallet.example/api/", agent="agentId")
PAYOUT = replace(WIN, path="/payout", body=f'{{"amount":12.34,"transactionId":"{TRANSACTION}"}}')
CANCEL = replace(PAYOUT, action=Action.REFUND, path="/cancel")


def reading(answer: object, *, status: int = 200, claim: Claim = PAYOUT) -> Meaning:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return Seamless().read(claim, Answer(status, body))


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
    assert isinstance(meaning, Taken)
    assert meaning.remarks is not None
    return meaning.remarks.get("doubts")


def test_code_0_is_done_and_what_the_wallet_says_is_kept():
    assert reading(success()) == Taken(
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
    """Contracts 2.3 and 2.5: judge by `status.code`."""
    assert isinstance(reading(success(), status=status), Taken)
    assert isinstance(reading(coded(997), status=status), Refused)
    assert isinstance(reading(coded(999), status=status), NotNow)


@pytest.mark.parametrize("code", [800, 908, 995, 997, 998])
def test_a_code_that_says_our_request_is_wrong_is_dead_with_the_wallet_s_words(code):
    meaning = reading(coded(code, "no\x00 such\x1b member"))

    assert isinstance(meaning, Refused)
    assert meaning.words == "no\ufffd such\ufffd member"
    assert f"status.code {code} (" in meaning.problem
    assert "member" not in meaning.problem


@pytest.mark.parametrize("code", [999, 1600, 1601, 1602, 607, 900, 806, -1, 123456])
def test_any_other_code_may_be_better_another_time(code):
    assert isinstance(reading(coded(code)), NotNow)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>bad gateway</html>",
        b'{"status":{"code":0',
        b"[" * 60_000,
        b'{"status":' * 6_000 + b"0" + b"}" * 6_000,
        b'{"status":{"code":' + b"9" * 5_000 + b"}}",
        b'{"status":{"code":1e99999999999999999999}}',
        b'{"status":{"code":1e999999}}',
        b'{"status":{"code":0.5}}',
        b'{"status":{"code":NaN}}',
        b'{"status":{"code":Infinity}}',
        b'{"status":{"code":true}}',
        b'{"status":{"code":"0"}}',
        b'{"status":{"code":null}}',
        b'{"status":0}',
        b"[0]",
        b"0",
        b"\xff\xfe",
    ],
)
def test_an_answer_without_a_code_is_no_success(answer):
    meaning = reading(answer)

    assert meaning == NotNow("answered 200 without a status.code")


def test_an_answer_that_was_cut_off_says_nothing():
    meaning = Seamless().read(PAYOUT, Answer(200, success(), cut=True))

    assert isinstance(meaning, NotNow)


@pytest.mark.parametrize("written", ["0", "0.0", "0e5", "-0", "0E-9"])
def test_zero_is_zero_however_it_is_written(written):
    assert isinstance(reading(b'{"status":{"code":%s}}' % written.encode()), Taken)


@given(st.binary(max_size=300))
def test_no_answer_breaks_the_reader(body):
    assert isinstance(reading(body), Taken | NotNow | Refused)


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
    assert isinstance(reading(document), Taken | NotNow | Refused)


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
    request = Seamless().request(CANCEL, replace(WALLET, url=base), secret="s", at=NOW)

    assert request.url == "https://wallet.example/api/cancel"
    assert request.body == CANCEL.body.encode()
    assert request.headers == {"Content-Type": "application/json"}


def test_a_wallet_that_asks_for_it_gets_a_signature():
    """Contracts 2.1."""
    signing = replace(WALLET, sign_calls=True)

    request = Seamless().request(PAYOUT, signing, secret="12345ABCDE", at=NOW)

    assert request.headers["x-amb-signature"] == sign_seamless(request.body, secret="12345ABCDE")


def test_a_ping_asks_for_a_balance_and_any_code_is_an_answer():
    """Contracts 2.0: the protocol has no ping; `/balance` only reads."""
    request = Seamless().ping(WALLET, secret="")

    assert request.url == "https://wallet.example/api/balance"
    assert request.body == b'{"username":"slipway-ping","agentId":"agentId"}'
    assert Seamless().answers_ping(Answer(200, json.dumps(coded(908)).encode()))
    assert not Seamless().answers_ping(Answer(200, b"It works"))
