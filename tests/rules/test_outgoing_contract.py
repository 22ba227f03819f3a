"""The contract of what goes out: true to the code that sends, strict, and valid for other tools."""

import json
from pathlib import Path
from typing import Any

import pytest

from models.notices import pam, seamless
from models.outgoing.documents import (
    NOTICES_FILE,
    RESPONSE_FILE,
    WALLET_FILE,
    WEBHOOKS_FILE,
    outgoing_documents,
)
from models.outgoing.examples import SECRET
from models.outgoing.pam_schemas import PING_NAME, SIGNED_TEST
from models.outgoing.wallet_schemas import wallet_name
from models.platform.signing import sign, sign_seamless
from models.vocabulary import Action
from producers.contract.asyncapi import QUEUE
from producers.contract.documents import FOLDER
from producers.contract.pages import RECEIVE, refreshed
from tests.support.npm_packages import install_packages, run_in
from tests.support.outgoing_bodies import in_contract, named
from tests.support.schema_reader import takes
from worker.delivery.http.exchange import HttpResponse
from worker.delivery.protocols.wallet_response import read_wallet_response
from worker.process.queues import TICKETS_QUEUE

# The samples of the specification, and the vendor's vector V3.
IDS = {"operator": "operator-code", "ticket_id": "1330556611374148608"}
MONEY: dict[str, Any] = {
    "price": 500,
    "stake": 444,
    "wht_amount": 240,
    "wht": 10,
    "ext_amount": 56,
    "ext": 12.5,
    "ext_type": "inclusive",
    "gross_payout": 2842,
    "net_payout": 2602,
}
V3: dict[str, Any] = {
    "action": "ticket_create",
    "data": {
        "operator": "acme",
        "ticket_id": "668ef666333180bba97f0c93",
        "ticket_code": "CD4BDD",
        "player_id": "sometokenvalue",
        **MONEY,
        "currency": "USD",
        "atag": "atag_value",
        "rtag": None,
        "ticket_type": "quickbet",
    },
}
SAMPLES: list[dict[str, Any]] = [
    V3,
    {"action": "ticket_win", "data": IDS},
    {"action": "ticket_closed", "data": IDS},
    {"action": "ticket_refund", "data": IDS | {"reason": "some-reason"}},
    {"action": "ticket_rollback", "data": IDS | {"reason": "some-reason"}},
    {"action": "ticket_void", "data": IDS | MONEY},
]
PAYOUT: dict[str, Any] = {
    "username": "member001",
    "agent": "agentId",
    "game": "Ghost House",
    "gameId": "GH",
    "roundId": "xxxxxxxxxx",
    "amount": 50,
    "turnover": 250,
    "currency": "THB",
    "transactionId": "5e84b48e-7393-4789-ad96-f1429e783068",
    "timestamp": "2019-12-11T19:57:28.431",
    "isEndRound": True,
    "featureBuy": True,
}
PAYOUT_RESPONSE: dict[str, Any] = {
    "status": {"code": 0, "message": "Success"},
    "data": {
        "username": "member001",
        "wallet": {"balance": 0, "lastUpdate": "2019-12-01T18:01:51.686Z"},
        "balance": {"before": 10000, "after": 0},
        "refId": "5e84b48e-7393-4789-ad96-f1429e783068",
    },
}


def create(**changed: object) -> dict[str, Any]:
    return V3 | {"data": V3["data"] | changed}


def without(body: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}


MUTATED: dict[str, dict[str, Any]] = {
    "a float of money": create(price=5.25),
    "money as text": create(price="500"),
    "negative money": create(stake=-1),
    "an id that is a number": create(ticket_id=668),
    "an empty id": create(ticket_id=""),
    "a space in an id": create(ticket_id="66 8"),
    "a currency in lower case": create(currency="usd"),
    "no currency": create(currency=None),
    "percent above all": create(wht=1001),
    "a field too many": create(bonus=1),
    "psp, which only a reserve has": create(psp="mobile"),
    "a field too few": V3 | {"data": without(V3["data"], "rtag")},
    "no data": {"action": "ticket_win"},
    "another action": {"action": "ticket_cashout", "data": IDS},
    "an action that is only received": {"action": "ticket_open", "data": IDS},
    "a result with an amount": {"action": "ticket_win", "data": IDS | {"net_payout": 5}},
    "a reason with a space": {"action": "ticket_refund", "data": IDS | {"reason": "a b"}},
    "no reason at all": {"action": "ticket_refund", "data": IDS},
    "a field beside the data": {"action": "ticket_win", "data": IDS, "event_id": "7f"},
    "data that is a list": {"action": "ticket_win", "data": [IDS]},
}
MUTATED_CALLS: dict[str, dict[str, Any]] = {
    "an amount as text": PAYOUT | {"amount": "50"},
    "a negative amount": PAYOUT | {"amount": -50},
    "a transaction that is no UUID": PAYOUT | {"transactionId": "7f"},
    "an upper-case transaction": PAYOUT | {"transactionId": PAYOUT["transactionId"].upper()},
    "a time with a zone": PAYOUT | {"timestamp": "2019-12-11T19:57:28.431Z"},
    "a round that goes on": PAYOUT | {"isEndRound": False},
    "a boolean as text": PAYOUT | {"featureBuy": "true"},
    "no turnover": without(PAYOUT, "turnover"),
    "a field too many": PAYOUT | {"bet": 1},
    "a currency in lower case": PAYOUT | {"currency": "thb"},
}
VALIDATE_ASYNCAPI = """
import { readFileSync } from "node:fs";
import asyncapi from "@asyncapi/parser";
const { document, diagnostics } = await new asyncapi.Parser().parse(readFileSync(0, "utf8"));
const errors = diagnostics.filter(({ severity }) => severity === 0);
for (const { code, path, message } of errors) console.error(code, path.join("."), message);
console.log(document ? document.version() : "invalid");
"""
VALIDATE_OPENAPI = """
import { readFileSync } from "node:fs";
import { Validator } from "@seriousme/openapi-schema-validator";
const result = await new Validator().validate(JSON.parse(readFileSync(0, "utf8")));
if (!result.valid) console.error(JSON.stringify(result.errors));
console.log(result.valid);
"""


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample["action"])
def test_the_samples_of_the_specification_are_in_the_contract(sample):
    assert takes(NOTICES_FILE, sample)


def test_a_wallet_s_sample_and_its_response_are_in_the_contract():
    assert in_contract(json.dumps(PAYOUT), "/payout")
    assert takes(RESPONSE_FILE, PAYOUT_RESPONSE)


@pytest.mark.parametrize("body", MUTATED.values(), ids=MUTATED)
def test_a_mutated_notice_is_refused(body):
    assert not takes(NOTICES_FILE, body)


@pytest.mark.parametrize("body", MUTATED_CALLS.values(), ids=MUTATED_CALLS)
def test_a_mutated_call_is_refused(body):
    assert not in_contract(json.dumps(body), "/payout")


def test_each_action_and_call_has_a_schema_of_the_fields_that_the_code_sends():
    notices = outgoing_documents()[NOTICES_FILE]["$defs"]
    calls = outgoing_documents()[WALLET_FILE]["$defs"]

    assert notices.keys() == {*map(str, pam.FIELDS), SIGNED_TEST, PING_NAME}
    assert calls.keys() == set(map(wallet_name, seamless.FIELDS))
    for action in pam.FIELDS:
        sent = json.loads(pam.body(action, operator="o", ticket_id="t", data={}))
        assert list(notices[action]["properties"]) == list(sent)
        assert list(notices[action]["properties"]["data"]["properties"]) == list(sent["data"])
        assert notices[action]["properties"]["data"]["required"] == list(sent["data"])


@pytest.mark.parametrize("file", [NOTICES_FILE, WALLET_FILE])
def test_each_schema_describes_its_fields_and_takes_its_examples(file):
    for name, schema in outgoing_documents()[file]["$defs"].items():
        fields = schema["properties"]
        fields = fields.get("data", schema)["properties"] if "data" in fields else fields
        assert schema["description"]
        assert [key for key, field in fields.items() if not field.get("description")] in (
            [],
            ["action"],
        )
        assert all(named(file, name).is_valid(example) for example in schema["examples"])


def test_the_signed_test_is_marked_and_no_other_discard_is():
    tested = json.loads(pam.signed_test_body(operator="acme", test_id="0af")[1])
    true = {"action": "ticket_discard", "data": IDS | {"reason": "some-reason"}}

    assert named(NOTICES_FILE, SIGNED_TEST).is_valid(tested)
    assert named(NOTICES_FILE, str(Action.DISCARD)).is_valid(tested), "a partner may treat it alike"
    assert not named(NOTICES_FILE, SIGNED_TEST).is_valid(true)


RESPONSES: list[object] = [
    PAYOUT_RESPONSE,
    {"status": {"code": 908, "message": "unknown"}},
    {"status": {"code": 0.0}, "more": 1},
    {"status": {"code": 0.5}},
    {"status": {"code": None}},
    {"status": {"code": True}},
    {"status": {"code": 10**9}},
    {"status": []},
    {"code": 0},
    [],
]


@pytest.mark.parametrize("document", RESPONSES, ids=json.dumps)
def test_a_response_in_the_contract_has_a_code_for_delivery_too(document):
    body = json.dumps(document).encode()
    read = read_wallet_response(HttpResponse(200, body, truncated=False, retry_after=None))

    assert takes(RESPONSE_FILE, document) == (read.code is not None)


def test_the_examples_of_the_webhooks_are_signed_with_the_published_key():
    hooks = outgoing_documents()[WEBHOOKS_FILE]["webhooks"]

    for name, hook in hooks.items():
        shown = {header["name"]: header["example"] for header in hook["post"]["parameters"]}
        body = json.dumps(example_of(hook), separators=(",", ":")).encode()
        if name == PING_NAME:
            assert "signature" not in shown
        elif name.startswith("wallet_"):
            assert shown["x-amb-signature"] == sign_seamless(body, secret=SECRET)
        else:
            at = int(shown["timestamp"])
            assert shown["signature"] == sign(body, timestamp=at, secret=SECRET)
            assert shown["Idempotency-Key"].startswith("acme/")


def example_of(hook: dict[str, Any]) -> dict[str, Any]:
    example: dict[str, Any] = hook["post"]["requestBody"]["content"]["application/json"]["example"]
    return example


def test_the_gateway_shows_the_webhooks_beside_its_routes():
    shown = json.loads((FOLDER / "openapi.json").read_text(encoding="utf-8"))

    assert shown["openapi"].startswith("3.1")
    assert shown["webhooks"] == outgoing_documents()[WEBHOOKS_FILE]["webhooks"]


def test_the_tables_of_the_page_for_partners_are_fresh():
    page = RECEIVE.read_text(encoding="utf-8")

    assert refreshed(page) == page, "generate them: python -m producers.contract"
    assert all(f"| `{action}` |" in page for action in pam.FIELDS)


def test_the_queue_of_the_document_is_the_one_that_is_drained():
    assert QUEUE == TICKETS_QUEUE


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both validators."""
    names = ("@asyncapi/parser@3.6.6", "@seriousme/openapi-schema-validator@2.11.0")
    return install_packages(tmp_path_factory.mktemp("npm"), *names)


@pytest.mark.slow
def test_asyncapi_s_own_parser_takes_the_document_and_no_damaged_one(packages):
    text = (FOLDER / "asyncapi.json").read_text(encoding="utf-8")

    taken = validated(packages, VALIDATE_ASYNCAPI, text)
    damaged = validated(packages, VALIDATE_ASYNCAPI, text.replace('"send"', '"sends"'))

    assert (taken.stdout, taken.stderr) == ("3.0.0\n", "")
    assert "sends" in damaged.stderr or "action" in damaged.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["openapi.json", WEBHOOKS_FILE])
def test_another_validator_takes_the_openapi_and_no_damaged_one(packages, name):
    document = json.loads((FOLDER / name).read_text(encoding="utf-8"))

    taken = validated(packages, VALIDATE_OPENAPI, json.dumps(document))
    document["webhooks"]["ticket_win"]["post"]["responses"]["2XX"] = {"content": {}}
    damaged = validated(packages, VALIDATE_OPENAPI, json.dumps(document))

    assert (taken.stdout, taken.stderr) == ("true\n", "")
    assert damaged.stdout == "false\n"


def validated(folder: Path, program: str, text: str) -> Any:  # noqa: ANN401 - what run_in returns
    script = folder / "validate.mjs"
    script.write_text(program)
    return run_in(["node", str(script)], folder, text)
