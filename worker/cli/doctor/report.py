"""Prints each finding as soon as it is made."""

from datetime import UTC, datetime

import typer

from worker.cli import output
from worker.cli.errors import FAILED
from worker.doctor.checks import check_all
from worker.doctor.finding import Finding, State

_SIGNS = {State.OK: "✓", State.DOUBTFUL: "!", State.WRONG: "✗", State.UNKNOWN: "?"}


def report_all(*, as_json: bool) -> None:
    """Run all checks and print the findings. Raises typer.Exit if something is wrong."""
    findings = []
    for finding in check_all(now=datetime.now(UTC)):
        findings.append(finding)
        if not as_json:
            _show(finding)
    wrong = [finding for finding in findings if finding.state is State.WRONG]
    if as_json:
        output.show_json({"healthy": not wrong, "findings": findings})
    else:
        typer.echo(f"{len(wrong)} wrong" if wrong else "nothing is wrong")
    if wrong:
        raise typer.Exit(FAILED)


def _show(finding: Finding) -> None:
    line = f"{finding.part}: {finding.detail}"
    typer.echo(f"{_SIGNS[finding.state]} {output.as_text(line)}")
    if finding.remedy is not None:
        typer.echo(f"    -> {output.as_text(finding.remedy)}")
