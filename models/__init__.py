"""What a ticket is and how it may change.

Tables and migrations, the state machine, event and notice formats, money, signing, settings, the
encryption of secrets; applying a batch of events, claiming and finishing notices, closing due
tickets. This package imports neither `worker` nor `producers`, and knows no Celery, Redis or HTTP.
"""
