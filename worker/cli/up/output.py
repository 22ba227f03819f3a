"""Shows the output of the processes, each line prefixed with the name of its process."""

import sys
from collections.abc import Sequence

import typer

SUPERVISOR = "slipway"
_COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "bright_cyan", "bright_green")


class ProcessOutput:
    """Prints lines as `name | text`, in colour on a terminal."""

    def __init__(self, names: Sequence[str]) -> None:
        """*names* are the names of the processes."""
        self._width = max(map(len, [*names, SUPERVISOR]))
        self._colours = {name: _COLOURS[n % len(_COLOURS)] for n, name in enumerate(names)}
        self._coloured = sys.stdout.isatty()

    def __call__(self, name: str, text: str) -> None:
        """Print one line, at once."""
        prefix = f"{name:<{self._width}} |"
        if self._coloured:
            prefix = typer.style(prefix, fg=self._colours.get(name, "white"), bold=True)
        typer.echo(f"{prefix} {text}")
