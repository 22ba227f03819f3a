"""What of a notice and its attempts is what was sent and answered, listed once.

Erasing a player (rule 25) and the end of the time for which bodies are kept (rule 28) empty it. All
else are facts of the story: which notice, when, how often, with which status and outcome.
"""

from dataclasses import replace
from typing import Final

from models.outbox.values import BY_PROXY, Attempt

NOTICE_CONTENTS: Final = ("body", "path", "answer", "remarks")  # and of the call that it keeps
ATTEMPT_CONTENTS: Final = ("answer", "remarks", "response_headers")

# Whose address was connected to is a fact.
_EMPTY_RESPONSE: Final = f"""answer = NULL,
           remarks = CASE WHEN {{0}}.remarks -> '{BY_PROXY}' IS NOT NULL THEN
                          jsonb_build_object('{BY_PROXY}', {{0}}.remarks -> '{BY_PROXY}') END"""
# Of a notice `n`, and of a row `a` of `delivery_attempt`.
EMPTY_NOTICE: Final = f"body = '', path = '', {_EMPTY_RESPONSE.format('n')}"
NOTICE_IS_FULL: Final = """(n.body <> '' OR n.path <> ''
            OR num_nonnulls(n.answer, n.remarks) > 0)"""
EMPTY_ATTEMPT: Final = f"response_headers = NULL, {_EMPTY_RESPONSE.format('a')}"
# By an array: the planner cannot know how few they are and might join them with the whole table.
OF_TICKETS: Final = "a.notice = ANY (ARRAY(SELECT id FROM notice WHERE ticket = ANY(:tickets)))"
ATTEMPT_IS_FULL: Final = "num_nonnulls(a.answer, a.remarks, a.response_headers) > 0"


def without_contents(attempt: Attempt) -> Attempt:
    """Return *attempt* as it would be stored after it was emptied."""
    remarks = attempt.remarks or {}
    kept = {BY_PROXY: remarks[BY_PROXY]} if BY_PROXY in remarks else None
    return replace(attempt, answer=None, remarks=kept, response_headers=None)
