"""`slipway doctor` names what is wrong with a set-up, and the remedy. One broken set-up a test."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import make_url, text

from models.operators import OperatorTerms
from models.operators.secrets import EncryptedSecrets
from models.sweeps.heartbeat import Round
from tests.support.closed_port import closed_port
from tests.support.command_line import CommandLine
from worker.doctor.checks import check_clocks
from worker.doctor.finding import Finding, State
from worker.doctor.partners import CheckedOperator, check_partners
from worker.doctor.processes import check_rounds

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def slipway(monkeypatch, capsys, database) -> CommandLine:
    """A set-up whose Redis is unavailable, so that no test waits for workers to respond."""
    line = CommandLine(monkeypatch, capsys)
    line.export(
        database_url=database,
        redis_url=f"redis://127.0.0.1:{closed_port()}/0",
        secret_key=Fernet.generate_key().decode(),
        partner_networks="127.0.0.0/8",
    )
    return line


def examined(slipway: CommandLine) -> dict[str, dict[str, Any]]:
    """What the doctor found to be wrong, by part; it ends with 1 then, and with 0 otherwise."""
    ended = slipway("doctor", "--json")
    document = ended.document()
    wrong = {
        finding["part"]: finding for finding in document["findings"] if finding["state"] == "wrong"
    }

    assert ended.code == (1 if wrong else 0)
    assert document["healthy"] is not bool(wrong)
    assert all(finding["remedy"] for finding in wrong.values())
    return wrong


def only(findings: Iterator[Finding]) -> Finding:
    """The one finding that is not fine."""
    (finding,) = [finding for finding in findings if finding.state is not State.OK]
    return finding


def test_a_variable_that_is_missing_or_misspelt_is_named(slipway, monkeypatch):
    monkeypatch.delenv("SLIPWAY_SECRET_KEY")
    slipway.export(sweep_intervall="1s")

    report = slipway("doctor")

    assert report.code == 1
    assert "✗ settings: SLIPWAY_SECRET_KEY is not set" in report.out
    assert "the nearest one is SLIPWAY_SWEEP_INTERVAL" in report.out
    assert "? all the rest" in report.out


def test_a_redis_that_is_unavailable_leaves_the_rest_to_be_looked_at(slipway):
    wrong = examined(slipway)

    assert set(wrong) == {"Redis"}
    assert (
        "start Redis, open the firewall for this machine, or fix host and port"
        in wrong["Redis"]["remedy"]
    )
    assert "SLIPWAY_REDIS_URL" in wrong["Redis"]["remedy"]


def test_a_wrong_password_of_redis_is_told_from_an_outage(slipway, servers):
    url = make_url(servers.redis_url)
    slipway.export(redis_url=f"redis://:wrong-one@127.0.0.1:{url.port}/0")

    report = slipway("doctor")

    assert "put the right user and password into SLIPWAY_REDIS_URL" in report.out
    assert "wrong-one" not in report.out + report.err


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ({"port": 1}, "start PostgreSQL, open the firewall for this machine"),
        ({"database": "nowhere"}, "CREATE DATABASE"),
        ({"password": "wrong-one"}, "put the right user and password into SLIPWAY_DATABASE_URL"),
    ],
)
def test_a_database_that_cannot_be_reached_is_told_why(slipway, database, change, remedy):
    address = make_url(database).set(**change).render_as_string(hide_password=False)
    slipway.export(database_url=address)

    wrong = examined(slipway)

    assert remedy in wrong["PostgreSQL"]["remedy"]
    assert "wrong-one" not in str(wrong)


def test_a_database_without_tables_asks_for_migrate(slipway, empty_database):
    slipway.export(database_url=empty_database)

    assert examined(slipway)["schema"]["remedy"] == "run: slipway migrate"


def test_an_upgrade_that_nobody_has_finalized_is_pointed_out(slipway, engine):
    assert schema(slipway)["state"] == "ok"
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM finalized_upgrade"))

    waiting = schema(slipway)

    assert waiting["state"] == "doubtful"
    assert "the upgrade is not finalized" in waiting["detail"]
    assert waiting["remedy"].endswith("slipway migrate --finalize")


def schema(slipway: CommandLine) -> dict[str, Any]:
    """What the doctor found about the schema."""
    findings = slipway("doctor", "--json").document()["findings"]
    (finding,) = [each for each in findings if each["part"] == "schema"]
    return finding  # type: ignore[no-any-return]  # JSON


@pytest.mark.parametrize(
    ("granted", "lacking"), [("SELECT", "alembic_version, "), ("ALL", "ticket_id_seq")]
)
def test_a_user_without_rights_to_the_tables_is_told_what_to_grant(
    slipway, engine, database, granted, lacking
):
    """The intake takes the ids of tickets from their sequence, which has its own rights."""
    with engine.begin() as connection:
        connection.execute(text("DROP ROLE IF EXISTS reader"))
        connection.execute(text("CREATE ROLE reader LOGIN PASSWORD 'reads'"))
        connection.execute(text(f"GRANT {granted} ON ALL TABLES IN SCHEMA public TO reader"))
    reader = make_url(database).set(username="reader", password="reads")
    slipway.export(database_url=reader.render_as_string(hide_password=False))

    wrong = examined(slipway)

    with engine.begin() as connection:
        connection.execute(text("DROP OWNED BY reader"))
        connection.execute(text("DROP ROLE reader"))
    assert f"reader may not read and write {lacking}" in wrong["schema"]["detail"]
    assert 'ON ALL TABLES IN SCHEMA public TO "reader"' in wrong["schema"]["remedy"]
    assert 'ON ALL SEQUENCES IN SCHEMA public TO "reader"' in wrong["schema"]["remedy"]


def test_partners_out_of_reach_and_secrets_that_stay_closed_are_named(slipway):
    add = ("operators", "add", "--protocol", "pam", "--url")
    slipway(*add, f"http://127.0.0.1:{closed_port()}/", "refusing")
    slipway(*add, "http://10.1.2.3/", "private")
    slipway(*add, "http://no-such-host.invalid/", "nameless")
    slipway.export(secret_key=Fernet.generate_key().decode())

    wrong = examined(slipway)

    assert "put the key that encrypted it back" in wrong["secrets"]["remedy"]
    assert "nameless, private, refusing" in wrong["secrets"]["detail"]
    assert "ask the partner" in wrong["operator refusing"]["remedy"]
    assert "SLIPWAY_PARTNER_NETWORKS=10.1.2.3/32" in wrong["operator private"]["remedy"]
    assert "operators set nameless --url" in wrong["operator nameless"]["remedy"]


def test_terms_that_no_longer_fit_the_settings_are_named(slipway):
    add = ("operators", "add", "acme", "--protocol", "pam", "--url", "http://127.0.0.1:1/")
    added = slipway(*add, "--retry-limit", "2h", "--keep-bodies", "3d", "--close-delay", "30m")

    def doubtful() -> list[str]:
        findings = slipway("doctor", "--json").document()["findings"]
        own = [each for each in findings if each["part"] == "terms of acme"]
        assert {each["state"] for each in own} <= {"doubtful"}
        assert all("slipway operators set acme" in each["remedy"] for each in own)
        return [each["detail"] for each in own]

    before = doubtful()
    slipway.export(discard_interval="3h", retention="60h", event_age_max="1d", parking_window="45m")
    after = doubtful()

    assert (added.code, before) == (0, [])
    assert [detail for detail in after if "SLIPWAY_DISCARD_INTERVAL (3h)" in detail]
    assert [detail for detail in after if "SLIPWAY_RETENTION (" in detail]
    assert [detail for detail in after if "SLIPWAY_PARKING_WINDOW (45m)" in detail]


@pytest.mark.parametrize(
    ("reason", "advised"),
    [
        ("answered 401", "rotate-secret acme"),
        ("20 attempts in a row led to nothing; the last: answered 308", "set acme --url"),
        (
            "20 attempts in a row led to nothing; the last: SSL certificate problem: expired",
            "renew its certificate",
        ),
        ("answered 401; the last: answered 200 with a body that is not JSON", "ping acme"),
    ],
)
def test_the_advice_about_an_open_circuit_follows_what_was_met_last(reason, advised):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        secrets = EncryptedSecrets("sealed")
        terms = OperatorTerms(code="acme", url=url, protocol="pam")
        operator = CheckedOperator(terms, enabled=True, secrets=secrets, circuit=reason)
        (finding,) = check_partners([operator], networks=[ip_network("127.0.0.0/8")])

    assert finding.state is State.DOUBTFUL
    assert reason in finding.detail
    assert advised in (finding.remedy or "")
    assert ("rotate-secret" in (finding.remedy or "")) is (reason == "answered 401")


def test_a_partner_that_hangs_does_not_keep_the_others_waiting():
    """Its backlog is full: the kernel leaves the next connection waiting; doctor gives it 3 s."""
    networks = [ip_network("127.0.0.0/8")]
    with socket.socket() as silent, socket.create_server(("127.0.0.1", 0)) as listening:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)  # noqa: FBT003 - the socket's own
            each.connect_ex(silent.getsockname())
        operators = [
            CheckedOperator(
                OperatorTerms(
                    code=code,
                    url=f"http://127.0.0.1:{server.getsockname()[1]}/",
                    protocol="pam",
                ),
                enabled=True,
                secrets=EncryptedSecrets("sealed"),
                circuit=None,
            )
            for code, server in (("hangs", silent), ("accepts", listening))
        ]
        hangs, accepts = check_partners(operators, networks=networks, within=2 * SECOND)
        for each in waiting:
            each.close()

    assert (hangs.state, hangs.detail) == (State.UNKNOWN, "not checked within 2 s")
    assert accepts.state is State.OK


def test_queues_without_a_worker_are_named(slipway, redis_url):
    slipway.export(redis_url=redis_url)

    wrong = examined(slipway)

    assert {"worker intake", "worker deliver", "worker sweep"} <= set(wrong)
    assert "the line `sweep` of the Procfile" in wrong["worker sweep"]["remedy"]


def test_a_sweep_that_nobody_asks_for_rounds_asks_for_beat():
    old = Round(ended_at=NOW - timedelta(minutes=2), watermark=NOW)

    late = check_rounds(old, now=NOW, interval=SECOND, sweepers=True)
    never = check_rounds(None, now=NOW, interval=SECOND, sweepers=True)
    nobody = check_rounds(old, now=NOW, interval=SECOND, sweepers=False)

    assert "start beat" in str(late.remedy)
    assert "start beat" in str(never.remedy)
    assert nobody.state is State.UNKNOWN


def test_clocks_that_disagree_are_named():
    clocks = {
        "this machine": (NOW, timedelta()),
        "Redis": (NOW + SECOND, SECOND),
        "PostgreSQL": (NOW + 9 * SECOND, 2 * SECOND),
    }

    finding = only(check_clocks(clocks))

    assert "Redis is 7.0 s behind PostgreSQL" in finding.detail
    assert "NTP" in str(finding.remedy)
