"""The HTTP gateway: what the outside may ask Slipway over HTTP."""
