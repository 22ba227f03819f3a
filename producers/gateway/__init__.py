"""The HTTP gateway: the interface of Slipway for publishers, operators and probes."""
