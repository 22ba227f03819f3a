"""`slipway players`."""
