"""`slipway jobs`: long acts that the sweep carries on."""
