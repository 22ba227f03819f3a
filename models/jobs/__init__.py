"""Jobs: long acts of a person, with count, progress, pace and stop; the sweep carries them on.

`store` starts, stops, finds and lists them, `advance` does one batch, `registry` lists the kinds,
whose modules are in `kinds/`. `values` says what a kind has to offer (`JobKind`), `sentences` what
a job does.
"""

from models.jobs.advance import AdvancedJob, advance_jobs
from models.jobs.partnership import PartnershipEnd, end_partnership
from models.jobs.registry import KINDS, kind_named
from models.jobs.sentences import describe_job, items_of, rate_of, time_left
from models.jobs.store import (
    JobNotFound,
    count_job,
    find_job,
    list_jobs,
    remove_ended_jobs,
    start_job,
    stop_job,
)
from models.jobs.values import Job, JobKind, StepResult
from models.platform.bounded_count import BoundedCount
from models.vocabulary import JobState

__all__ = [
    "KINDS",
    "AdvancedJob",
    "BoundedCount",
    "Job",
    "JobKind",
    "JobNotFound",
    "JobState",
    "PartnershipEnd",
    "StepResult",
    "advance_jobs",
    "count_job",
    "describe_job",
    "end_partnership",
    "find_job",
    "items_of",
    "kind_named",
    "list_jobs",
    "rate_of",
    "remove_ended_jobs",
    "start_job",
    "stop_job",
    "time_left",
]
