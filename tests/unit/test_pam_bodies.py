"""Bodies for PAM partners, byte for byte (contracts 1.3 to 1.6)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.lifecycle.ticket import NewNotice
from models.notices.body import NoticeText, message
from models.notices.pam import FIELDS, body, slug
from models.platform.signing import sign
from models.vocabulary import INBOUND, Action
from tests.support.tickets import OPERATOR, TICKET_ID, ticket

KEY, TIMESTAMP = "12345ABCDE", 1706191612
HEAD = f'"operator":"{OPERATOR}","ticket_id":"{TICKET_ID}"'

# The vendor's own vector V3, as the fields of an event.
V3: dict[str, Any] = {
    "rtag": None,
    "atag": "atag_value",
    "ticket_type": "quickbet",
    "currency": "USD",
    "net_payout": 2602,
    "gross_payout": 2842,
    "ext_type": "inclusive",
    "ext": 12.5,
    "ext_amount": 56,
    "wht": 10,
    "wht_amount": 240,
    "stake": 444,
    "price": 500,
    "player_id": "sometokenvalue",
    "ticket_code": "CD4BDD",
    "ticket_id": "668ef666333180bba97f0c93",
    "operator": "acme",
}
V3_BODY = (
    '{"action":"ticket_create","data":{"operator":"acme","ticket_id":"668ef666333180bba97f0c93",'
    '"ticket_code":"CD4BDD","player_id":"sometokenvalue","price":500,"stake":444,"wht_amount":240,'
    '"wht":10,"ext_amount":56,"ext":12.5,"ext_type":"inclusive","gross_payout":2842,'
    '"net_payout":2602,"currency":"USD","atag":"atag_value","rtag":null,"ticket_type":"quickbet"}}'
)
V3_SIGNATURE = "3fe37f41ba6dc960fd2a7098bd4643f971ff1408a31bcea9f3ef8d03b3ba2d0a"

VOIDED = {
    "price": 500,
    "stake": 444,
    "wht_amount": 0,
    "wht": 10.0,
    "ext_amount": 56,
    "ext": 12.5,
    "ext_type": "inclusive",
    "gross_payout": 500,
    "net_payout": 500,
}
VOIDED_TEXT = (
    ',"price":500,"stake":444,"wht_amount":0,"wht":10.0,"ext_amount":56,"ext":12.5,'
    '"ext_type":"inclusive","gross_payout":500,"net_payout":500'
)
VECTORS = [
    ("win", {}, "", "d9df7456e857cf7d70450a8bccec4078a0373810ef02e2e267098ab25de7c73c"),
    ("closed", {}, "", "3a166c75bebe0a411256510bedc255144831cd41fe7ef71c17bcba93200b0414"),
    (
        "refund",
        {"reason": "some-reason"},
        ',"reason":"some-reason"',
        "c65c74702ea86865d3ee0bab7828222677c01c65c0e7fabdd7391c74b199cabd",
    ),
    (
        "rollback",
        {"reason": "some-reason"},
        ',"reason":"some-reason"',
        "09452be78132a713bcc180700898d13a62a3fe91803202d83a0ad5b2e71753ca",
    ),
    (
        "void",
        VOIDED,
        VOIDED_TEXT,
        "25335cba3194171e311dae7dc40cbe3abf304ae6d32b5f0015873d4471477717",
    ),
]

MONEY = "price stake wht_amount wht ext_amount ext ext_type gross_payout net_payout"
IN_ORDER = {
    "ticket_create": f"ticket_code player_id {MONEY} currency atag rtag ticket_type",
    "ticket_reserve": f"ticket_code player_id psp {MONEY} currency atag rtag ticket_type",
    "ticket_update": f"ticket_code player_id psp {MONEY} currency atag rtag ticket_type",
    "ticket_win": "",
    "ticket_lost": "",
    "ticket_void": MONEY,
    "ticket_refund": "reason",
    "ticket_discard": "reason",
    "ticket_rollback": "reason",
    "ticket_closed": "",
}


def bodied(action: str, data: dict[str, Any], ticket_id: str = TICKET_ID) -> str:
    return body(Action(action), operator=OPERATOR, ticket_id=ticket_id, data=data)


def test_the_vendor_s_vector_comes_out_byte_for_byte():
    """Contracts 1.3, V3: order, `10` without a point, and `null` for the empty tag."""
    made = body(Action.CREATE, operator="acme", ticket_id=V3["ticket_id"], data=V3)

    assert made == V3_BODY
    assert sign(made.encode(), timestamp=TIMESTAMP, secret=KEY) == V3_SIGNATURE


@pytest.mark.parametrize(("word", "data", "rest", "signature"), VECTORS)
def test_the_vectors_of_the_lifecycle_come_out_byte_for_byte(word, data, rest, signature):
    made = bodied(f"ticket_{word}", data)

    assert made == f'{{"action":"ticket_{word}","data":{{{HEAD}{rest}}}}}'
    assert sign(made.encode(), timestamp=TIMESTAMP, secret=KEY) == signature


@pytest.mark.parametrize(("action", "fields"), IN_ORDER.items())
def test_the_fields_stand_in_the_documented_order(action, fields):
    """Contracts 1.4; where `psp` and `rtag` stand: contracts 5.2."""
    names = fields.split()
    jumbled = {name: f"value-of-{name}" for name in sorted(names, reverse=True)}

    made = json.loads(bodied(action, jumbled))

    assert list(made) == ["action", "data"]
    assert list(made["data"]) == ["operator", "ticket_id", *names]
    assert all(made["data"][name] == f"value-of-{name}" for name in names)


@pytest.mark.parametrize(("action", "fields"), IN_ORDER.items())
def test_a_field_without_a_value_is_null_and_never_left_out(action, fields):
    """Contracts 1.3: optional fields without a value are signed and sent as `null`."""
    empty = "".join(f',"{name}":null' for name in fields.split())
    expected = f'{{"action":"{action}","data":{{{HEAD}{empty}}}}}'

    assert bodied(action, {}) == expected
    assert bodied(action, dict.fromkeys(fields.split())) == expected


@pytest.mark.parametrize("action", IN_ORDER)
def test_what_the_contract_does_not_list_is_never_sent_on(action):
    """A cash-out's amount is not sent either (contracts 5.2)."""
    unlisted = {"shop": "12", "correction": True, "game": "x", "feature_buy": False}
    if action in ("ticket_win", "ticket_lost", "ticket_closed"):
        unlisted |= {"net_payout": 900, "reason": "cashed out"}

    assert bodied(action, unlisted) == bodied(action, {})


def test_the_ids_are_ours_whatever_the_event_says():
    assert bodied("ticket_win", {"operator": "other", "ticket_id": "2"}) == bodied("ticket_win", {})


def test_every_notice_has_its_fields():
    untold = {Action.OPEN, Action.PAID}  # the partner gets no notice of them

    assert set(FIELDS) == {*INBOUND, Action.CLOSED} - untold
    assert set(FIELDS) == set(IN_ORDER)


@pytest.mark.parametrize(
    ("reason", "sent"),
    [
        ("some-reason", "some-reason"),
        ("result corrected", "result-corrected"),
        ("  spaces   all\tover\r\n ", "spaces-all-over"),
        ("no\u00a0break\u2003space\u3000here", "no-break-space-here"),
        ("bell\x07and\x1fmore\x7f", "bell-and-more-"),
        ("naïve ☃", "naïve-☃"),
        ('a "quoted" \\ word', 'a-"quoted"-\\-word'),
        ("", ""),
    ],
)
def test_a_reason_becomes_a_slug(reason, sent):
    """No outgoing PAM string holds a space (contracts 5.1)."""
    assert slug(reason) == sent
    assert json.loads(bodied("ticket_rollback", {"reason": reason}))["data"]["reason"] == sent


@given(st.text())
def test_no_slug_holds_a_space_and_a_slug_stays_itself(reason):
    made = slug(reason)

    assert made.split() == ([made] if made else [])
    assert slug(made) == made


def test_text_is_sent_as_utf_8_without_escapes():
    """Contracts 5.1: UTF-8 as sent; what is signed are those bytes."""
    made = bodied("ticket_refund", {"reason": "zurück"}, ticket_id='t"é')

    assert (
        made.encode()
        == (
            f'{{"action":"ticket_refund","data":{{"operator":"{OPERATOR}",'
            '"ticket_id":"t\\"é","reason":"zurück"}}'
        ).encode()
    )


@pytest.mark.parametrize(
    ("percent", "written"), [(10, "10"), (10.0, "10.0"), (12.5, "12.5"), (0, "0"), (0.125, "0.125")]
)
def test_a_percentage_is_written_as_it_was_given(percent, written):
    """Contracts 5.1, `10` or `10.0`: a fixed form, signed as sent."""
    assert f'"wht":{written},' in bodied("ticket_void", VOIDED | {"wht": percent})


def test_the_message_of_a_pam_ticket_goes_to_the_operator_s_url_itself():
    """Contracts 1.1: one POST URL per operator takes all actions."""
    notice = NewNotice(Action.WIN, 1, {"operator": "x", "net_payout": 9}, event_id="e")

    made = message(ticket("won@1"), notice)

    assert made == NoticeText(f'{{"action":"ticket_win","data":{{{HEAD}}}}}', path="")
    assert made.impossible is None
