"""The partner protocols as adapters: how a notice becomes a request, and an answer an outcome."""
