"""The operators as a file: `slipway operators apply` and `export`, for partners kept as code."""
