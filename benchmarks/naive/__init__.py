"""The plain Celery way, as a tutorial would have it: what our side is measured against.

A Flask view that sends `chain(get_last_modified, send_patch)`, tasks that call `requests` without a session, a Redis
result backend, the default pool (prefork, one process a core). No records, no order, no retry table, no history: what
our side does besides is not done here at all.

Three tunings, each taken from Celery's own documentation ("Optimizing", "Tasks: Ignore results you don't want"):

- `defaults`     nothing but broker, backend and task events
- `late`         one message reserved a process, acknowledged when done: `worker_prefetch_multiplier` 1, `task_acks_late`
- `lean`         results aren't kept (a chain hands its value on in the message), 64 messages reserved a process
                 (short tasks), more connections for publishing: `task_ignore_result`, `worker_prefetch_multiplier` 64,
                 `broker_pool_limit` 50
"""
