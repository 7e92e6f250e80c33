"""The plain Celery way, as a tutorial would have it: what our side is measured against.

A Flask view that sends `chain(get_last_modified, send_patch)`, tasks that call `requests` without a session, a Redis
result backend, the default pool (prefork, one process a core). No records, no order, no retry table, no history: what
our side does besides is not done here at all.

Three tunings, each taken from Celery's own documentation ("Optimizing"):

- `defaults`     nothing but broker, backend and task events
- `late`         one message reserved a process, acknowledged when done: `worker_prefetch_multiplier` 1, `task_acks_late`
- `lean`         64 messages reserved a process (short tasks), more connections for publishing: `worker_prefetch_multiplier` 64,
                 `broker_pool_limit` 50

And one beside them that gives up what the other three have, the result backend, so that nobody could ask what became of an
update; no goal is set against it, but whoever reads the table should see it:

- `resultless`   as `lean`, and `task_ignore_result` ("Ignore results you don't want"): a chain hands its value on in the message
"""
