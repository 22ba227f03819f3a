"""`slipway doctor`: checks one part of the set-up after the other and says how to fix it."""
