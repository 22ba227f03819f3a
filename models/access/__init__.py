"""How Slipway gets through to a partner: headers, credentials, certificates; encrypted at rest."""
