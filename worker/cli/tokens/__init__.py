"""`slipway tokens`: programs that may use the operations API."""
