"""`slipway users`: who may sign in to the console."""
