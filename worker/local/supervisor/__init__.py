"""Runs the processes of a Procfile side by side until it must stop (`slipway up`, `slipway demo`).

`procfile` reads the file, `child` is one running process, `runner` starts, restarts and ends them.
`worker.local.orphan_guard` ends what a killed supervisor leaves behind.
"""
