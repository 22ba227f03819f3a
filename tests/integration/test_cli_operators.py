"""`slipway operators`: what a person changes of an operator, and whether its partner responds."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text

from producers.simulation.partner import Respond, Rule, SimulatedPartner, Wallet
from producers.wall_clock import utc_now
from tests.support.closed_port import closed_port
from tests.support.command_line import CommandLine
from tests.support.token_server import CLIENT_SECRET, response, sending, token_server

KEY = Fernet.generate_key().decode()
WHO = ("--by", "anna", "--why", "they asked for it")
SECRET = "a-secret-of-many-characters"


@pytest.fixture
def slipway(monkeypatch, capsys, database, redis_url) -> CommandLine:
    made = CommandLine(monkeypatch, capsys)
    made.export(database_url=database, redis_url=redis_url, secret_key=KEY)
    made.export(partner_networks="127.0.0.0/8")
    return made


@pytest.fixture
def secret_file(tmp_path) -> Path:
    file: Path = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    return file


@pytest.fixture
def acme(slipway) -> str:
    add = ("operators", "add", "acme", "--url", "http://127.0.0.1:9/", "--protocol", "pam")
    assert slipway(*add).code == 0
    return "acme"


def shown(slipway: CommandLine, code: str = "acme") -> dict[str, object]:
    operator: dict[str, object] = slipway("operators", "show", code, "--json").document()[
        "operator"
    ]
    return operator


def test_set_changes_what_is_named_and_says_what_differs(slipway, acme):
    ended = slipway("operators", "set", acme, "--in-flight", "64", "--rate", "5/s", *WHO)

    assert (ended.code, ended.out) == (0, "rate: none -> 5/s\nin-flight: 32 -> 64\n")
    assert (shown(slipway)["in_flight"], shown(slipway)["rate"]) == (64, 5.0)
    assert slipway("operators", "set", acme, "--rate", "unlimited").code == 0
    assert shown(slipway)["rate"] is None
    again = slipway("operators", "set", acme, "--in-flight", "64")
    assert (again.code, "is unchanged" in again.out) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("set", "acme"), 2, "no changes given"),
        (("set", "acme", "--in-flight", "0"), 2, "from 1 to 10,000"),
        (("set", "acme", "--sign"), 2, "(--sign)"),
        (("set", "acne", "--in-flight", "1"), 1, "did you mean 'acme'?"),
        (("show", "nobody"), 1, "there is no operator 'nobody'; see `slipway operators list`"),
        (("disable", "nobody"), 1, "there is no operator"),
        (("ping", "nobody"), 1, "there is no operator"),
        (("rotate-secret", "nobody"), 1, "there is no operator"),
        (("rotate-secret", "acme", "--switch-at", "tomorrow"), 2, "is not a time"),
        (("rotate-secret", "acme", "--switch-at", "2026-11-20T10:00:00"), 2, "has no offset"),
        (("rotate-secret", "acme", "--switch-at", "2001-01-01T00:00:00Z"), 2, "in the past"),
        (("rotate-secret", "acme", "--switch-at", "+2h", "--forget-at", "+1h"), 2, "(--forget-at)"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(slipway, acme, arguments, code, sentence):
    ended = slipway("operators", *arguments)

    assert ended.code == code
    assert sentence in " ".join(ended.err.replace("│", " ").split())


def test_holding_and_letting_go(slipway, acme):
    assert "its notices are held" in slipway("operators", "disable", acme, *WHO).out
    assert "disabled already" in slipway("operators", "disable", acme).out
    assert shown(slipway)["disabled_at"] is not None
    assert "its notices are sent" in slipway("operators", "enable", acme, *WHO).out
    assert slipway("operators", "enable", acme, "--json").document() == {
        "code": "acme",
        "disabled": False,
        "changed": False,
    }
    assert shown(slipway)["disabled_at"] is None


def test_a_secret_is_made_and_shown_once(slipway, acme):
    ended = slipway("operators", "rotate-secret", acme, "--switch-at", "+1h", *WHO)

    *sentence, secret = ended.out.split()
    assert "shown only once:" in " ".join(sentence)
    assert len(secret) == 43
    page = slipway("operators", "show", acme)
    assert secret not in page.out
    assert "new secret signs from" in page.out
    assert "anna" in page.out
    assert "they asked for it" in page.out


def test_an_exchange_tells_its_moments_and_warns_of_one_that_was_going_on(
    slipway, acme, secret_file
):
    far = f"{utc_now() + timedelta(days=4 * 365):%Y-%m-%dT%H:%M:%S}+01:00"
    first = slipway("operators", "rotate-secret", acme, "--switch-at", "+1h", "--json").document()
    second = slipway(
        *("operators", "rotate-secret", acme, "--secret-file", str(secret_file)),
        *("--switch-at", "+2h", "--forget-at", far),
    )

    assert first["switch_at"] < first["forget_at"]
    assert second.code == 2, "too far away"
    second = slipway(
        "operators", "rotate-secret", acme, "--secret-file", str(secret_file), "--json"
    )
    assert second.document()["secret"] is None
    assert "it never signed" in second.err
    assert SECRET not in second.out + second.err


def test_after_resealing_the_old_key_can_be_dropped(slipway, acme, engine):
    new = Fernet.generate_key().decode()
    slipway("operators", "rotate-secret", acme, "--switch-at", "+1h")
    slipway.export(secret_key=f"{new},{KEY}")

    assert "secrets of 1 operators" in slipway("operators", "reseal", *WHO).out

    slipway.export(secret_key=new)
    assert slipway("operators", "reseal").code == 0
    with engine.begin() as connection:
        connection.execute(text("UPDATE operator SET secret = 'damaged'"))
    ended = slipway("operators", "reseal", "--json")
    assert (ended.code, ended.document()["unopened"]) == (1, ["acme"])
    assert "no key decrypts the secrets of acme" in ended.err


def test_a_partner_that_is_there_answers_a_ping(slipway, acme):
    with SimulatedPartner(secret=SECRET) as partner:
        slipway("operators", "set", acme, "--url", partner.url)
        slipway("operators", "disable", acme)
        there = slipway("operators", "ping", acme)
        partner.behave(Rule(Respond(503, body=b'{"message":"closed\x1b[31m"}')))
        ill = slipway("operators", "ping", acme, "--json")
        people = slipway("operators", "ping", acme)

    assert there.code == 0
    assert f'POST {partner.url} {{"action":"ping"}}' in there.out
    assert "responded 200 after " in there.out
    assert (ill.code, ill.document()["status"], ill.document()["there"]) == (1, 503, False)
    assert "\x1b" not in people.out
    assert "did not respond as a pam partner does" in people.err


def test_a_ping_shows_the_token_step_before_the_call_and_no_secret(slipway, acme, tmp_path):
    (tmp_path / "client-secret").write_text(CLIENT_SECRET, encoding="utf-8")
    with token_server() as server:
        given = {
            "oauth": {
                "token_url": server.token_url,
                "client_id": "us",
                "client_secret_file": "client-secret",
            }
        }
        (tmp_path / "access.yaml").write_text(json.dumps(given), encoding="utf-8")
        slipway("operators", "set", acme, "--url", server.url)
        slipway("operators", "access", acme, "--file", str(tmp_path / "access.yaml"), *WHO)
        there = slipway("operators", "ping", acme)
        server.odd = sending(response(401, {"error": "invalid_client"}))
        refused = slipway("operators", "ping", acme, "--signed")

    assert there.code == 0, there.err
    assert f"token: {server.token_url} responded 200 after " in there.out
    assert "expires in 1h" in there.out
    assert "responded 200 after " in there.out.partition("POST ")[2]
    assert refused.code == 1
    assert "so nothing was sent: the token endpoint" in refused.out
    assert "answered 401 invalid_client" in refused.out
    assert len(server.notices) == 1
    assert "canary" not in there.out + there.err + refused.out + refused.err


def test_a_signed_test_says_whether_the_secret_is_right(slipway, secret_file):
    with SimulatedPartner(secret=SECRET) as partner:
        options = ("--url", partner.url, "--protocol", "pam")
        slipway("operators", "add", "nova", *options, "--secret-file", str(secret_file))
        slipway("operators", "add", "other", *options)
        right = slipway("operators", "ping", "nova", "--signed")
        wrong = slipway("operators", "ping", "other", "--signed")
        document = slipway("operators", "ping", "other", "--signed", "--json").document()
    wallet = ("--url", "http://127.0.0.1:9/", "--protocol", "seamless", "--agent", "us")
    slipway("operators", "add", "house", *wallet)
    unsigned = slipway("operators", "ping", "house", "--signed")

    assert right.code == 0
    assert " from 127.0.0.1\nsignature: accepted\n" in right.out
    assert wrong.code == 1
    assert "other refused the signature, or our address: agree with the partner" in wrong.err
    assert (document["status"], document["signature"]) == (403, "refused")
    assert (unsigned.code, "no signature to test" in unsigned.err) == (1, True)


def test_a_ping_goes_through_the_check_of_addresses(slipway, acme):
    slipway("operators", "set", acme, "--url", f"http://127.0.0.1:{closed_port()}/")
    nobody = slipway("operators", "ping", acme)
    slipway.export(partner_networks="10.0.0.0/8")
    refused = slipway("operators", "ping", acme)

    assert (nobody.code, refused.code) == (1, 1)
    assert "no response after " in nobody.out
    assert "is not public" in refused.out


def test_a_wallet_is_asked_for_a_balance_instead(slipway, secret_file):
    wallet = Wallet(SECRET, agent="us", demands_signature=True)
    with SimulatedPartner(wallet=wallet) as partner:
        options = ("--url", partner.url, "--protocol", "seamless", "--agent", "us", "--sign")
        slipway("operators", "add", "house", *options, "--secret-file", str(secret_file))
        there = slipway("operators", "ping", "house")
        slipway("operators", "set", "house", "--no-sign")
        unsigned = slipway("operators", "ping", "house")

    assert there.code == 0
    assert "/balance" in there.out
    assert json.loads(there.out.splitlines()[-1])["status"]["code"] == 908
    assert (unsigned.code, "responded 403" in unsigned.out) == (1, True)
