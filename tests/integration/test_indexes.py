"""Each index has its query, and each query its index: one that none needs costs every row.

Most are looked for in the plans of a crowd, by the modules that are named here; the others here,
where reading a whole table is forbidden: they belong to small tables, or to what people ask.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import Connection, Engine, text

from models.audit.listing import ActFilter, list_acts
from models.database.engine import open_engine
from models.erasure.advance import NEXT_TICKETS
from models.erasure.store import UNDER_WAY, find_erasure, list_erasures, report_erasure
from models.idempotency import kept_response, keyed_request
from models.jobs.kinds.dead_notices import RETRY_NOTICES
from models.jobs.store import find_job, remove_ended_jobs, start_job
from models.monitoring.stream_losses import losses_since
from models.operators.listing import show_operator
from models.outbox.circuit import READ_CIRCUITS
from models.platform.errors import SlipwayError
from models.publishers.keys import find_key_holder, list_publishers
from models.users import Role, add_token, find_token, find_user, list_sessions, revoke_token
from models.users.external import external_user
from models.users.failures import take_back
from models.users.sessions import remove_expired_sessions
from tests.support import databases
from tests.support.harness import PERSON, Harness
from tests.support.manual_clock import ManualClock
from tests.support.plans import plans_of
from tests.support.users import LIMITS
from worker.local.servers import Servers

HERE: Final = Path(__file__).parent
NAMES = text("""
    SELECT indexname FROM pg_indexes
     WHERE schemaname = 'public' AND tablename <> 'alembic_version'""")
# What they are for: only one row may be there, or no two with these values.
ONE_ROW: Final = {
    *("finalized_upgrade_pkey", "plot_progress_pkey", "stream_count_pkey", "sweep_round_pkey"),
}
IN_A_CROWD: Final[Mapping[str, frozenset[str]]] = {
    module: frozenset(names.split())
    for module, names in {
        "test_query_plans.py": "ticket_pkey ticket_operator_ticket_id_key ticket_close_due"
        " ticket_unended ticket_on_hold ticket_event_window_end ticket_event_waiting notice_pkey"
        " notice_identity notice_due notice_dead notice_sent_once operator_pkey",
        "test_removal_rate.py": "ticket_closed ticket_cancelled ticket_event_pkey"
        " delivery_attempt_pkey rejected_input_pkey",
        "test_kept_bodies_plans.py": "ticket_with_bodies",
        "gateway/test_gateway_plans.py": "ticket_newest ticket_of_player ticket_code"
        " ticket_event_of_id ticket_event_listed rejected_input_listed rejected_input_of_id"
        " rejected_input_ticket",
        "test_undelivered.py": "notice_postponed",
        "test_notice_lists.py": "notice_given_up notice_not_wanted",
        "test_search.py": "notice_transaction rejected_input_entry_id_key",
        "test_send_again_plans.py": "delivery_attempt_recent notice_taken intervention_ticket",
        "test_erasure_plans.py": "intervention_pkey",
        "test_partner_plans.py": "intervention_operator_itself partner_minute_pkey",
        "test_job_plans.py": "job_next",
        "test_tombstones.py": "tombstone_pkey",
        "test_user_plans.py": "user_session_token_hash_key user_account_pkey"
        " api_token_token_hash_key sign_in_failure_ends_at kept_response_at",
    }.items()
}

NOW: Final = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
REQUEST: Final = keyed_request(caller="token 1", key="new", content=b"x")


def find_new_token(connection: Connection) -> object:
    token = add_token(connection, "new", role=Role.VIEWER, person=PERSON, now=NOW)
    return find_token(connection, token.token, now=NOW)


def start_keyed_job(connection: Connection) -> object:
    return start_job(connection, RETRY_NOTICES.name, {}, person=PERSON, now=NOW, key="new")


Question = Callable[[Connection], object]
ASKED: Final[Mapping[str, Question]] = {
    "api_token_name_key": lambda c: revoke_token(c, "none", person=PERSON, now=NOW),
    "api_token_pkey": find_new_token,
    "circuit_pkey": lambda c: c.execute(READ_CIRCUITS, {"operators": [1]}),
    "erasure_fingerprint": lambda c: list_erasures(c, fingerprints=["none"]),
    "erasure_pkey": lambda c: find_erasure(c, 1),
    "erasure_ticket_next": lambda c: c.execute(
        NEXT_TICKETS, {"erasure": 1, "before": NOW, "limit": 1}
    ),
    "erasure_ticket_pkey": lambda c: report_erasure(c, 1),
    "erasure_under_way": lambda c: c.execute(UNDER_WAY, {"operator": 1, "player_id": "P"}),
    "intervention_at": lambda c: list_acts(c, ActFilter(), limit=1),
    "intervention_did": lambda c: list_acts(c, ActFilter(did="d"), limit=1),
    "intervention_operator": lambda c: list_acts(c, ActFilter(operator="acme"), limit=1),
    "intervention_who": lambda c: list_acts(c, ActFilter(who="w"), limit=1),
    "job_ended": lambda c: remove_ended_jobs(c, before=NOW, limit=1),
    "job_key": start_keyed_job,
    "job_pkey": lambda c: find_job(c, 1),
    "kept_response_pkey": lambda c: kept_response(c, REQUEST, now=NOW),
    "operator_code_key": lambda c: show_operator(c, "acme"),
    "publisher_key_hash_key": lambda c: find_key_holder(c, "none"),
    "publisher_name_key": list_publishers,
    "publisher_operator_pkey": lambda c: find_key_holder(c, "none"),
    "publisher_pkey": lambda c: show_operator(c, "acme"),
    "sign_in_failure_pkey": lambda c: take_back(c, name="n", remote="r"),
    "stream_loss_pkey": lambda c: losses_since(c, NOW),
    "user_account_name_key_key": lambda c: find_user(c, "none"),
    "user_account_subject": lambda c: external_user(
        c, source="oidc", subject="s", name="n", role=Role.VIEWER, now=NOW
    ),
    "user_session_ends_at": lambda c: remove_expired_sessions(c, now=NOW),
    "user_session_pkey": lambda c: remove_expired_sessions(c, now=NOW),
    "user_session_user": lambda c: list_sessions(c, 1, limits=LIMITS, now=NOW),
}


@pytest.fixture(scope="module")
def engine(servers: Servers, template: str) -> Iterator[Engine]:
    """A database with one partner and nothing else."""
    url = databases.create(servers.database_url, "indexes", template=template)
    opened = open_engine(url, application_name="tests", pool_size=1)
    Harness(opened, ManualClock()).add_operator()
    yield opened
    opened.dispose()
    databases.drop(servers.database_url, "indexes")


def test_each_index_is_named_with_the_test_of_its_query(engine: Engine):
    """A new index wants an entry; one that is dropped leaves none behind."""
    with engine.connect() as connection:
        there = set(connection.execute(NAMES).scalars())
    in_crowds = [name for names in IN_A_CROWD.values() for name in names]
    named = [*ONE_ROW, *in_crowds, *ASKED]

    assert sorted(named) == sorted(there), "each once"


@pytest.mark.parametrize("module", IN_A_CROWD)
def test_a_crowd_s_test_asks_for_the_indexes_that_are_said_to_be_its(module: str):
    source = (HERE / module).read_text(encoding="utf-8")

    assert [name for name in IN_A_CROWD[module] if f'"{name}"' not in source] == []


@pytest.mark.parametrize("index", ASKED)
def test_a_question_takes_its_index(engine: Engine, index: str):
    def ask() -> None:
        with suppress(SlipwayError):  # there is nothing to be found
            ASKED[index](connection)

    with engine.connect() as connection:
        for way in ("seqscan", "hashjoin", "mergejoin"):  # what a small table would be read by
            connection.execute(text(f"SET LOCAL enable_{way} = off"))
        plans = plans_of(connection, ask)
        connection.rollback()

    assert index in plans.indexes
