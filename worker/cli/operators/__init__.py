"""`slipway operators`: the partners' accounts, added and changed one by one or from a file."""
