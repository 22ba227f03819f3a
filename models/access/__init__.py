"""What a partner's gateway wants beside our signature: headers, credentials, certificates."""
