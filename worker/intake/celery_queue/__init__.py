"""The second door: what Celery and kombu publish to the queue `tickets` moves to the stream.

No worker executes these messages. Their text goes onto the stream as it is, whatever it says
(`script`, `door`), and is read there like any other entry (`models.events.celery_message`): a bad
one stops nobody. The intake empties the queue all the time (`keeper`), the sweep before it decides
what is due (`worker.sweep.watermark`).

The queue lives on the server of the stream (SLIPWAY_REDIS_URL, same database): one step cannot span
two. Its publishers use kombu's own priority steps (0, 3, 6, 9) and no `global_keyprefix`.
"""
