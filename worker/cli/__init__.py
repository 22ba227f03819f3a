"""The command line `slipway`: where models, worker and producers are put together.

Each group of commands declares its commands and options in a module of its own; the modules that do
the work are loaded when a command first needs them (`worker.cli.lazy`).
"""

import sys

import typer

from worker.cli.application import app
from worker.cli.errors import Failed, ReportedError, WrongUsage
from worker.cli.lazy import load, modules_loaded_on_first_use


def main() -> None:
    """Run one command and end the process with its exit code; an error is a sentence on stderr.

    0: done, or the answer is yes. 1: failed, or the answer is no. 2: wrong usage or set-up.
    """
    try:
        with modules_loaded_on_first_use():
            app(prog_name="slipway")
    except BrokenPipeError:  # the program that reads our output has ended (`| head`)
        sys.stderr.close()
        sys.exit(1)
    except ReportedError as error:
        _report(str(error), code=error.code)
    except Exception as error:
        explanation = load("worker.cli.error_messages:explain")(error)
        if explanation is None:
            raise  # a bug: its traceback helps to fix it
        _report(explanation.sentence, code=explanation.code)


def _report(sentence: str, *, code: int) -> None:
    typer.echo(f"slipway: {sentence}", err=True)
    sys.exit(code)


__all__ = ["Failed", "WrongUsage", "main"]
