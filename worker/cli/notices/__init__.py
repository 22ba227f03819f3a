"""`slipway notices`: undelivered and dead notices, and what can be done about them."""
