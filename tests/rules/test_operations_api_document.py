"""The operations API's description that programs are made from is the one of this code."""

import re

from worker.console.api.document import FILE, document

CITED = re.compile(r"\b[Rr]ules? \d+|\bH\d{1,2}\b|\b[Cc]ontracts \d|\b[Dd]ecisions? \d{4}")


def test_openapi_json_is_up_to_date():
    assert FILE.read_text(encoding="utf-8") == document(), "run `python -m worker.console.api`"


def test_openapi_json_cites_no_page_that_its_readers_do_not_have():
    assert CITED.findall(document()) == []
