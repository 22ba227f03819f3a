"""`python -m worker.console.api` writes `openapi.json`, which programs can be generated from."""

from worker.console.api.document import write

if __name__ == "__main__":
    write()
