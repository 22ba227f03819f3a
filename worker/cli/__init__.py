"""The command line `slipway`: where models, worker and producers are put together.

One module for each group of commands declares its words and options; what a command needs to work
is imported when it runs, so that `slipway --help` answers at once.
"""

import sys

import typer

from worker.cli.application import app
from worker.cli.errors import Failed, ReportedError, WrongUsage


def main() -> None:
    """Run one command and end the process with its exit code; errors are a sentence on stderr.

    0: done, or the answer is yes. 1: failed, or the answer is no. 2: wrong usage or set-up.
    """
    try:
        app(prog_name="slipway")
    except BrokenPipeError:  # whoever read our output has seen enough (`| head`)
        sys.stderr.close()
        sys.exit(1)
    except ReportedError as error:
        _report(str(error), code=error.code)
    except Exception as error:
        # After an error there is time to load what knows it.
        from worker.cli.error_messages import explain  # noqa: PLC0415 - as the line above says

        explained = explain(error)
        if explained is None:
            raise  # a bug: its traceback is what helps to mend it
        _report(explained.sentence, code=explained.code)


def _report(sentence: str, *, code: int) -> None:
    typer.echo(f"slipway: {sentence}", err=True)
    sys.exit(code)


__all__ = ["Failed", "WrongUsage", "main"]
