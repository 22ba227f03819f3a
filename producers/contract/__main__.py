"""`python -m producers.contract` writes the files of the contract."""

from producers.contract.documents import write

if __name__ == "__main__":
    write()
