"""The stream's contract as files for any language; `python -m producers.contract` writes them."""
