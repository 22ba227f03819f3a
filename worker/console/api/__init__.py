"""The operations API below `/api/v1`: what the pages and the command line do, for programs.

`application` puts it together; each resource is a module with its `routes`. `authentication` knows
the token and its role, `acts` the client's key, `answers` what a response holds for which role.
"""
