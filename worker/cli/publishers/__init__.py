"""`slipway publishers`: who may publish and read over HTTP."""
