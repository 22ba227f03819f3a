"""The contract as files for any language; `python -m producers.contract` writes them.

What publishers send, the gateway, and what partners receive.
"""
