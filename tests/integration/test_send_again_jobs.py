"""Rule 22 as jobs: one ticket that waits, and what a partner took between two times."""

from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from models.jobs import (
    AdvancedJob,
    Job,
    JobState,
    advance_jobs,
    count_job,
    end_partnership,
    find_job,
    start_job,
)
from models.jobs.kinds.send_operator_again import BETWEEN_PASSES, RECORDED_WITHIN
from models.operators.interventions import Person
from models.outbox.dead_letters import NotPossible, Resolution, resolve
from models.outbox.values import Dead
from models.platform.errors import InvalidError, NotFoundError
from tests.support.harness import SLIP, Harness
from tests.support.records import Records

ANNA = Person("anna", "they restored a backup")
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
REFUSED = Dead("404")
REPEATED = text("""
    SELECT t.ticket_id, count(*) AS notices FROM notice n JOIN ticket t ON t.id = n.ticket
     WHERE n.repeat > 0 GROUP BY t.ticket_id ORDER BY t.ticket_id""")


class Jobs:
    """Starts and advances jobs, each act a transaction."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.since = harness.now

    def start(self, kind: str, arguments: dict[str, object], pace: float | None = None) -> Job:
        with self.harness.engine.begin() as connection:
            return start_job(
                connection, kind, arguments, person=ANNA, now=self.harness.now, pace=pace
            )

    def start_operator(self, pace: float | None = None) -> Job:
        """All that was taken since the test began."""
        arguments = self.window()
        self.harness.wait(RECORDED_WITHIN)
        return self.start("send_operator_again", arguments, pace=pace)

    def window(self) -> dict[str, object]:
        return {
            "operator": "acme",
            "since": self.since.isoformat(),
            "until": self.harness.now.isoformat(),
        }

    def advance(self, limit: int = 100, *, dies: bool = False) -> AdvancedJob | None:
        with self.harness.engine.connect() as connection:
            advanced = advance_jobs(connection, now=self.harness.now, limit=limit)
            connection.rollback() if dies else connection.commit()
        return advanced

    def finish(self, limit: int = 100) -> None:
        while self.advance(limit) is not None:
            pass

    def find(self, job: Job) -> Job:
        with self.harness.engine.connect() as connection:
            return find_job(connection, job.id)


@pytest.fixture
def jobs(harness: Harness) -> Jobs:
    return Jobs(harness)


def repeated(engine: Engine) -> dict[str, int]:
    """The number of repeats of each ticket."""
    with engine.connect() as connection:
        return {row.ticket_id: row.notices for row in connection.execute(REPEATED)}


def deliver_all(harness: Harness) -> Counter[tuple[str, str]]:
    sent: Counter[tuple[str, str]] = Counter()
    while some := harness.deliver():
        sent.update(some)
        harness.wait(SECOND)
    return sent


def take(harness: Harness, *tickets: str, action: str = "ticket_win") -> None:
    """Have the partner take a notice of each ticket."""
    for ticket in tickets:
        harness.say(action, ticket)
    harness.deliver()
    harness.wait(SECOND)


def test_a_ticket_with_something_unfinished_is_sent_again_once_nothing_is(
    harness: Harness, records: Records, jobs: Jobs
):
    take(harness, "T")
    harness.say("ticket_rollback")
    job = jobs.start("send_again", {"notice": records.notice(1).id})
    jobs.finish()
    waiting = jobs.find(job)
    harness.deliver()
    harness.wait(HOUR)
    jobs.finish()

    assert waiting.state is JobState.RUNNING
    assert waiting.message is not None
    assert "ticket_rollback (number 2) of ticket T of acme has not been delivered" in (
        waiting.message
    )
    assert jobs.find(job).state is JobState.DONE
    assert [row.repeat for row in records.notices()] == [0, 0, 1, 1]
    assert list(deliver_all(harness)) == [("T", "ticket_win"), ("T", "ticket_rollback")]


def test_one_job_at_a_time_waits_for_a_ticket(harness: Harness, records: Records, jobs: Jobs):
    harness.say("ticket_win")
    notice = {"notice": records.notice(1).id}
    job = jobs.start("send_again", notice)

    with pytest.raises(NotPossible, match=f"job {job.id} already waits"):
        jobs.start("send_again", notice)
    with pytest.raises(NotPossible, match="no notice 4711"):
        jobs.start("send_again", {"notice": 4711})


def test_what_a_partner_took_between_two_times_is_sent_again(
    harness: Harness, engine: Engine, jobs: Jobs
):
    take(harness, "A", "B", "C")
    jobs.since = harness.now
    take(harness, "B", action="ticket_rollback")
    take(harness, "D", "B")
    job = jobs.start_operator()
    take(harness, "E")
    jobs.finish()
    ended = jobs.find(job)

    assert (ended.state, ended.expected, ended.done, ended.refused) == (
        JobState.DONE,
        (2, True),
        2,
        0,
    )
    assert repeated(engine) == {"B": 2, "D": 1}
    assert [action for _, action in deliver_all(harness)] == [
        "ticket_rollback",
        "ticket_win",
        "ticket_win",
    ]


@pytest.mark.parametrize("limit", [1, 2, 7])
def test_a_death_between_any_two_steps_loses_and_doubles_nothing(
    harness: Harness, engine: Engine, jobs: Jobs, limit: int
):
    tickets = [f"T{number}" for number in range(7)]
    take(harness, *tickets)
    take(harness, *tickets[:3], action="ticket_rollback")
    job = jobs.start_operator()
    while jobs.advance(limit, dies=True) is not None:
        jobs.advance(limit)

    assert jobs.find(job).done == 7
    assert repeated(engine) == dict.fromkeys(tickets, 1) | dict.fromkeys(tickets[:3], 2)


def test_a_ticket_that_is_left_has_its_turn_in_a_later_pass(
    harness: Harness, engine: Engine, records: Records, jobs: Jobs
):
    """H57: a dead notice holds it up for longer than the pass takes."""
    take(harness, "A", "B", "C")
    harness.say("ticket_rollback", "B")
    harness.deliver(REFUSED)
    job = jobs.start_operator()
    jobs.finish()
    first_pass = jobs.find(job)
    deliver_all(harness)
    with engine.begin() as connection:
        dead = records.notice(2, "B").id
        resolve(connection, dead, Resolution.SKIP_DELIVERED, now=harness.now)
    harness.wait(BETWEEN_PASSES)
    jobs.finish()

    assert first_pass.state is JobState.RUNNING
    assert first_pass.done == 2
    assert first_pass.message is not None
    assert first_pass.message.startswith("pass 1: 1 tickets with something unfinished")
    assert (jobs.find(job).state, jobs.find(job).done) == (JobState.DONE, 3)
    assert repeated(engine) == {"A": 1, "B": 2, "C": 1}


def test_two_jobs_at_once_double_nothing_within_one(harness: Harness, engine: Engine, jobs: Jobs):
    """Each sends a ticket again once; the second has its turn when the first one's are through."""
    take(harness, "A", "B")
    first = jobs.start_operator()
    second = jobs.start("send_operator_again", dict(first.arguments))
    jobs.finish(1)
    assert repeated(engine) == {"A": 1, "B": 1}
    deliver_all(harness)
    harness.wait(BETWEEN_PASSES)
    jobs.finish(1)

    assert [jobs.find(job).state for job in (first, second)] == [JobState.DONE] * 2
    assert repeated(engine) == {"A": 2, "B": 2}


def test_a_repeat_that_was_taken_within_the_time_stands_for_its_original(
    harness: Harness, engine: Engine, records: Records, jobs: Jobs
):
    take(harness, "A")
    take(harness, "A", action="ticket_rollback")
    jobs.since = harness.now
    jobs.start("send_again", {"notice": records.notice(1, "A").id})
    jobs.finish()
    deliver_all(harness)
    jobs.start_operator()
    jobs.finish()

    assert repeated(engine) == {"A": 4}
    assert [row.repeat for row in records.notices("A")] == [0, 0, 1, 1, 2, 2]


def test_what_may_not_be_sent_again_is_counted_with_its_reason(
    harness: Harness, engine: Engine, jobs: Jobs
):
    for ticket in ("A", "B"):
        harness.say("ticket_create", ticket, **SLIP)
    take(harness, "C")
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE notice SET body = '' WHERE action = 'ticket_win'")
    job = jobs.start_operator()
    jobs.finish(1)
    ended = jobs.find(job)

    assert (ended.done, ended.refused, ended.state) == (0, 3, JobState.DONE)
    assert ended.reasons == {
        "nothing of it may be sent again": 2,
        "a body was erased with the player's data": 1,
    }


def test_it_ends_with_the_partnership(
    harness: Harness, records: Records, engine: Engine, jobs: Jobs
):
    """Rule 24: without a look at every ticket, each of which would be refused."""
    for ticket in ("A", "B", "C"):
        harness.say("ticket_win", ticket)
    harness.deliver()
    harness.wait(SECOND)
    job = jobs.start_operator()
    jobs.advance(limit=1)
    assert jobs.find(job).done == 1
    with engine.begin() as connection:
        end_partnership(connection, "acme", person=ANNA, now=harness.now)
    jobs.finish()

    ended = jobs.find(job)
    assert (ended.state, ended.done, ended.refused) == (JobState.DONE, 1, 0)
    assert ended.message == "ended with the partnership: nothing more is sent again"
    assert harness.deliver() == []
    records.check()


def test_it_keeps_its_pace(harness: Harness, engine: Engine, jobs: Jobs):
    take(harness, *(f"T{number}" for number in range(10)))
    jobs.start_operator(pace=2.0)
    jobs.finish()
    at_once = len(repeated(engine))
    for _ in range(3):
        harness.wait(SECOND)
        jobs.finish()

    assert at_once <= 2
    assert len(repeated(engine)) - at_once == 6


def test_the_count_alone_changes_nothing(harness: Harness, engine: Engine, jobs: Jobs):
    take(harness, "A", "B")
    take(harness, "A", action="ticket_rollback")
    with engine.begin() as connection:
        count = count_job(connection, "send_operator_again", jobs.window(), now=harness.now)
    assert count == (2, True)
    assert repeated(engine) == {}


def test_it_waits_for_attempts_whose_recording_began_within_the_time(
    harness: Harness, engine: Engine, jobs: Jobs
):
    take(harness, "A")
    job = jobs.start("send_operator_again", jobs.window())
    jobs.finish()
    assert repeated(engine) == {}
    harness.wait(RECORDED_WITHIN)
    jobs.finish()

    assert jobs.find(job).done == 1


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"operator": "nobody"}, NotFoundError, "nobody"),
        ({"since": "soon"}, InvalidError, "since and until are times"),
        ({"since": None}, InvalidError, "since and until are times"),
        ({"since": "2999-01-01T00:00:00Z"}, InvalidError, "since must be before until"),
        ({"until": "2999-01-01T00:00:00Z"}, InvalidError, "ends in the future"),
    ],
)
def test_invalid_arguments_say_what_is_wrong(
    jobs: Jobs, change: dict[str, object], error: type[Exception], message: str
):
    arguments = {**jobs.window(), "since": (jobs.since - HOUR).isoformat(), **change}

    with pytest.raises(error, match=message):
        jobs.start("send_operator_again", arguments)
