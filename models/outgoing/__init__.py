"""What partners are sent, as a contract for any language: JSON Schemas, and OpenAPI's webhooks.

The fields of each body are those that the code of `models.notices` builds it from.
"""
