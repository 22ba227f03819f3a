"""`slipway doctor`: looks at one part of the set-up after the other and says how to mend it."""
