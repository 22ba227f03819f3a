"""Runs the processes of a Procfile side by side until told to stop (`slipway up`, `slipway demo`).

`procfile` reads the file, `restart` decides when a dead process comes back, `child` is one running
process, `leash` ends what a killed supervisor leaves behind, `runner` puts them together.
"""
