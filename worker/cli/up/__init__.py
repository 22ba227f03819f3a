"""`slipway up`: every process of the Procfile, with embedded servers on request."""
