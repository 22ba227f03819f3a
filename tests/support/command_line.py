"""Runs `slipway` commands in this process, with an environment of the test's own."""

import io
import json
import os
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.forgotten_settings import forget_settings
from worker.cli import main


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended: its exit code, and what it wrote."""

    code: int
    out: str
    err: str

    def document(self) -> Any:  # noqa: ANN401 - whatever the command prints
        """Read what it printed as JSON."""
        return json.loads(self.out)


class _Keyboard(io.BytesIO):
    def isatty(self) -> bool:
        return True


class CommandLine:
    """A terminal: `slipway("operators", "list")`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        for name in [name for name in os.environ if name.startswith("SLIPWAY_")]:
            monkeypatch.delenv(name)

    def export(self, **settings: str) -> None:
        """Set `SLIPWAY_*` variables, named without the prefix and in lower case."""
        for name, value in settings.items():
            self._monkeypatch.setenv(f"SLIPWAY_{name.upper()}", value)

    def __call__(self, *words: str, stdin: bytes = b"", terminal: bool = False) -> Ended:
        """Run one command to its end; *terminal*: what comes in is typed by a person."""
        forget_settings()
        self._monkeypatch.setattr(sys, "argv", ["slipway", *words])
        typed = _Keyboard(stdin) if terminal else io.BytesIO(stdin)
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(typed))
        with pytest.raises(SystemExit) as end:
            main()
        forget_settings()
        captured = self._capsys.readouterr()
        code = end.value.code
        return Ended(code if isinstance(code, int) else 0, captured.out, captured.err)

    def findings(self, part: str) -> list[tuple[str, str]]:
        """State and detail of what the doctor says of *part*."""
        return [
            (finding["state"], finding["detail"])
            for finding in self("doctor", "--json").document()["findings"]
            if finding["part"] == part
        ]
