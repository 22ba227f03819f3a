"""`slipway ticket` and `slipway tickets`: the history of one, and those that have not ended."""
