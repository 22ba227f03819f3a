"""`python -m producers.contract`: writes the contract's files anew."""

from producers.contract.documents import write

if __name__ == "__main__":
    write()
