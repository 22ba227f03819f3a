"""`slipway up`: every process of the Procfile, with servers of our own if asked for."""
