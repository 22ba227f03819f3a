"""`slipway import`: running tickets from another system."""
