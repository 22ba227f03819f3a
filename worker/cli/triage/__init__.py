"""Ways out on the command line: `slipway events parked|rejected|superseded`, `notices dead`.

`options` is what the person may say, `session` the database behind a command, `targets` finds what
is meant, `work` does it one transaction at a time, `sentences` words it; the other modules are the
commands.
"""
