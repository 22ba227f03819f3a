"""`python -m producers.contract` writes the files of the contract, and the tables of RECEIVE.md."""

from producers.contract.documents import write
from producers.contract.pages import write_page

if __name__ == "__main__":
    write()
    write_page()
