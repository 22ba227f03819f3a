"""`slipway partner`: a simulated partner, for trying an integration."""
