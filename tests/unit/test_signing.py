"""The signatures of contracts 1.3 (PAM, Bet Engine) and contracts 2.1 (seamless), byte for byte."""

from datetime import UTC, datetime, timedelta

import pytest

from models.platform.signing import Flaw, Genuine, SignatureRefused, sign, sign_seamless, verify

SECRET = "12345ABCDE"
TIMESTAMP = 1706191612
SIGNED_AT = datetime.fromtimestamp(TIMESTAMP, UTC)
WINDOW = timedelta(seconds=300)

TICKET = b'"operator":"operator-code","ticket_id":"1330556611374148608"'
CREATE = (
    b'{"action":"ticket_create","data":{"operator":"acme","ticket_id":"668ef666333180bba97f0c93",'
    b'"ticket_code":"CD4BDD","player_id":"sometokenvalue","price":500,"stake":444,'
    b'"wht_amount":240,"wht":10,"ext_amount":56,"ext":12.5,"ext_type":"inclusive",'
    b'"gross_payout":2842,"net_payout":2602,"currency":"USD","atag":"atag_value","rtag":null,'
    b'"ticket_type":"quickbet"}}'
)
SUPERBET = (
    b'{"operator":"site","token":"UnIqUe-ToKeN","price":5000,"currency":"KES",'
    b'"atag":"affiliate-1","source":"mobile","type":"superbet","event":100001,'
    b'"bets":[101,102,103,104,105,106]}'
)
VOID = (
    b'{"action":"ticket_void","data":{' + TICKET + b',"price":500,"stake":444,"wht_amount":0,'
    b'"wht":10.0,"ext_amount":56,"ext":12.5,"ext_type":"inclusive","gross_payout":500,'
    b'"net_payout":500}}'
)
WIN = b'{"action":"ticket_win","data":{' + TICKET + b"}}"
CLOSED = b'{"action":"ticket_closed","data":{' + TICKET + b"}}"
REFUND = b'{"action":"ticket_refund","data":{' + TICKET + b',"reason":"some-reason"}}'
ROLLBACK = b'{"action":"ticket_rollback","data":{' + TICKET + b',"reason":"some-reason"}}'
SPACED = b'{"action":"ticket_rollback","data":{' + TICKET + b',"reason":"result corrected"}}'
SQUEEZED = b'{"action":"ticket_rollback","data":{' + TICKET + b',"reason":"resultcorrected"}}'

WIN_SIGNATURE = "d9df7456e857cf7d70450a8bccec4078a0373810ef02e2e267098ab25de7c73c"
SPACED_SIGNATURE = "f0cfbcbdf63dc65f10bc3bd98870410bc5ed73f4debdc4e339ea6eee02c9508a"
SQUEEZED_SIGNATURE = "6d5afe5625e3dbc3f03c32f0d12f020f048e414380b4773ae5726f3050b13366"

VECTORS = [
    pytest.param(
        1706191612,
        CREATE,
        "3fe37f41ba6dc960fd2a7098bd4643f971ff1408a31bcea9f3ef8d03b3ba2d0a",
        id="V3, the vendor's own",
    ),
    pytest.param(
        1706090303,
        SUPERBET,
        "f99aee9f77eef1ee8b64c78e7f8612e3234f03cce5fecdebd7ea27f2b9081423",
        id="BE, the vendor's own",
    ),
    pytest.param(TIMESTAMP, WIN, WIN_SIGNATURE, id="win"),
    pytest.param(
        TIMESTAMP,
        CLOSED,
        "3a166c75bebe0a411256510bedc255144831cd41fe7ef71c17bcba93200b0414",
        id="closed",
    ),
    pytest.param(
        TIMESTAMP,
        REFUND,
        "c65c74702ea86865d3ee0bab7828222677c01c65c0e7fabdd7391c74b199cabd",
        id="refund",
    ),
    pytest.param(
        TIMESTAMP,
        ROLLBACK,
        "09452be78132a713bcc180700898d13a62a3fe91803202d83a0ad5b2e71753ca",
        id="rollback",
    ),
    pytest.param(
        TIMESTAMP,
        VOID,
        "25335cba3194171e311dae7dc40cbe3abf304ae6d32b5f0015873d4471477717",
        id="void",
    ),
    pytest.param(
        TIMESTAMP,
        b"",
        "b59081ba5474e81372f9c47e1c6677dff26cbb8a725054f52c69776aa65a7142",
        id="no body",
    ),
    pytest.param(TIMESTAMP, SPACED, SPACED_SIGNATURE, id="a space kept"),
    pytest.param(TIMESTAMP, SQUEEZED, SQUEEZED_SIGNATURE, id="a space removed"),
]


def verified(
    body: bytes = WIN,
    *,
    timestamp: str = str(TIMESTAMP),
    signature: str = WIN_SIGNATURE,
    secrets: tuple[str, ...] = (SECRET,),
    now: datetime = SIGNED_AT,
) -> Genuine | SignatureRefused:
    """Verify a genuine win, but for what the test changes about it."""
    return verify(
        body, timestamp=timestamp, signature=signature, secrets=secrets, now=now, window=WINDOW
    )


@pytest.mark.parametrize(("timestamp", "body", "signature"), VECTORS)
def test_a_vector_is_signed_as_written(timestamp: int, body: bytes, signature: str) -> None:
    """Contracts 1.3."""
    assert sign(body, timestamp=timestamp, secret=SECRET) == signature


@pytest.mark.parametrize(("timestamp", "body", "signature"), VECTORS)
def test_a_vector_is_accepted_when_it_comes_in(timestamp: int, body: bytes, signature: str) -> None:
    """Contracts 1.3."""
    verdict = verified(
        body,
        timestamp=str(timestamp),
        signature=signature,
        now=datetime.fromtimestamp(timestamp, UTC),
    )

    assert verdict == Genuine()


@pytest.mark.parametrize("signature", [SPACED_SIGNATURE, SQUEEZED_SIGNATURE])
def test_a_body_with_a_space_is_accepted_in_both_readings(signature: str) -> None:
    """Contracts 5.1: as a verifier, accept the literal and the compact reading."""
    assert verified(SPACED, signature=signature) == Genuine()


def test_a_compact_body_is_not_accepted_with_the_signature_of_a_spaced_one() -> None:
    assert verified(SQUEEZED, signature=SPACED_SIGNATURE) == SignatureRefused(Flaw.SIGNATURE_WRONG)


def test_a_partner_that_pretty_prints_is_accepted_over_the_body_without_spaces() -> None:
    pretty = WIN.replace(b":", b": ").replace(b",", b", ")

    assert verified(pretty) == Genuine()


def test_either_secret_is_accepted_while_one_is_exchanged_for_the_other() -> None:
    assert verified(secrets=("the-new-one", SECRET)) == Genuine()
    assert verified(secrets=(SECRET, "the-new-one")) == Genuine()


@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_a_timestamp_within_the_window_is_accepted(seconds: int) -> None:
    assert verified(now=SIGNED_AT + timedelta(seconds=seconds)) == Genuine()


@pytest.mark.parametrize("seconds", [-301, 301])
def test_a_timestamp_outside_the_window_is_refused(seconds: int) -> None:
    verdict = verified(now=SIGNED_AT + timedelta(seconds=seconds))

    assert verdict == SignatureRefused(Flaw.TIMESTAMP_OUTSIDE_WINDOW)


@pytest.mark.parametrize(
    "timestamp",
    [
        pytest.param("", id="missing"),
        pytest.param("now", id="a word"),
        pytest.param("-1706191612", id="negative"),
        pytest.param("1706191612.0", id="a fraction"),
        pytest.param(" 1706191612", id="a space"),
        pytest.param("1706191612000", id="milliseconds"),
        pytest.param("١٧٠٦١٩١٦١٢", id="digits of another script"),
        pytest.param("9" * 5000, id="a number without end"),
    ],
)
def test_a_timestamp_that_is_not_unix_seconds_is_refused(timestamp: str) -> None:
    assert verified(timestamp=timestamp) == SignatureRefused(Flaw.TIMESTAMP_UNREADABLE)


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param("", id="missing"),
        pytest.param(WIN_SIGNATURE[:-1], id="cut short"),
        pytest.param(WIN_SIGNATURE.upper(), id="in capitals"),
        pytest.param("ü" * 64, id="not ASCII"),
        pytest.param("\ud800", id="half a character"),
    ],
)
def test_another_signature_is_refused(signature: str) -> None:
    assert verified(signature=signature) == SignatureRefused(Flaw.SIGNATURE_WRONG)


def test_other_bytes_another_secret_or_none_is_refused() -> None:
    assert verified(CLOSED) == SignatureRefused(Flaw.SIGNATURE_WRONG)
    assert verified(secrets=("another",)) == SignatureRefused(Flaw.SIGNATURE_WRONG)
    assert verified(secrets=()) == SignatureRefused(Flaw.SIGNATURE_WRONG)


def test_a_refusal_is_false_so_that_an_if_cannot_let_it_through() -> None:
    assert verified()
    assert not verified(CLOSED)


def test_the_seamless_vector_is_signed_as_written() -> None:
    """Contracts 2.1."""
    body = b'{"username":"member001","agent":"agentId"}'

    signature = sign_seamless(body, secret=SECRET)

    assert signature == (
        "Lb1XhutLBo8KJDsvaHZGadvFy/3qb8a3yy3Q3sjz0uLL5qiW7//Pu26Q/sfWvOC376GIy2so1RmldlRGqMFsSg=="
    )
