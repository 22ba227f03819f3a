"""`slipway doctor`: runs the checks of `worker/doctor` and prints what they find."""
