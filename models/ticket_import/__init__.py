"""The import of running tickets that another system began: lines are read, tickets inserted."""
