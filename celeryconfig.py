"""Celery's configuration: data only. Every setting that isn't the default says why.

What differs between two installations comes from `app/settings`, which alone reads the environment.
"""

from __future__ import annotations

from typing import Any

from kombu import Queue

from app.packages import PACKAGES, QUEUES
from app.platform.dispatch import Envelope
from app.settings import Settings

_settings = Settings.load()

# Broker ---------------------------------------------------------------------------------------------------------------
broker_url = _settings.broker_url
broker_transport_options: dict[str, Any] = {
    # Queues, bindings and unacknowledged messages stand under the tenant, beside the records that they belong to.
    "global_keyprefix": Envelope(_settings.tenant).prefix,
    # Without it a publisher would wait for a frozen Redis for ever.
    "socket_timeout": 5,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    # A publisher fails at once: who publishes (beat) does so again at the next tick, and waiting would take longer.
    "max_retries": 0,
    "interval_start": 0,
    # kombu would note every message as unacknowledged and take the note back, two more writes that each wait for the
    # disk, and give a dead worker's messages back after minutes. The lease on the record does that within seconds; the
    # message that comes late, or again, finds nothing to claim. A worker that stops in order still puts back what it
    # hasn't begun.
    "ack_emulation": False,
    # One list a queue instead of four: nothing here has a priority by message; the order of work is in the records.
    "priority_steps": [0],
}
broker_connection_timeout = 2  # 4 s by default
broker_connection_retry_on_startup = True  # a supervisor may start workers before the server answers
broker_connection_max_retries = None  # 100 by default: an outage of any length ends with a reconnect
broker_pool_limit = 10  # the default; 0 or None makes publishing five times slower

# How a chain goes on (a setting of ours, read by workers/chains.py).
inline_chain = _settings.inline_chain

# Queues and routes ----------------------------------------------------------------------------------------------------
task_queues = [Queue(one.name, routing_key=one.name) for one in QUEUES]
task_routes = {f"{one.name}.*": {"queue": one.name, "routing_key": one.name} for one in QUEUES}
task_default_queue = "ticks"
# A queue of each process's own, for the canary that shows whether this very process works (app/watch).
worker_direct = True
task_create_missing_queues = False  # a misspelt queue is an error, not a queue that nobody consumes

# Messages -------------------------------------------------------------------------------------------------------------
# JSON only; ids travel, never payloads or secrets.
task_serializer = "json"
result_serializer = "json"
event_serializer = "json"
accept_content = ["json"]
timezone = "UTC"
enable_utc = True

# Results: none. The record in Redis is the result.
result_backend = None
task_ignore_result = True

# Workers --------------------------------------------------------------------------------------------------------------
include = [*dict.fromkeys(one.tasks for one in QUEUES), "workers.watch"]
# The work consists of waiting for the far side: threads keep 100 calls open in a process, at 2.1 ms of CPU an update.
worker_pool = "threads"
worker_concurrency = _settings.live_slots  # of the live workers; the others are started with -c
# Early: records give redelivery, by lease. A late acknowledgement runs a task twice at once after a dropped connection.
task_acks_late = False
# One message waiting for each slot, so that a worker that dies takes little with it.
worker_prefetch_multiplier = 1
# Flower shows every task (costs up to 40% of the throughput of empty tasks; the benchmarks measure with it).
worker_send_task_events = True
worker_disable_rate_limits = True  # no task has one; the bucket of each would be asked for every message
worker_detect_quorum_queues = False  # a question to RabbitMQ
worker_hijack_root_logger = False  # our own logging stays as it was set up
worker_redirect_stdouts = False
# The embedded server is on the same machine and the message is a wake-up: a lost connection loses nothing, and a PATCH
# that is under way must not be cut off.
worker_cancel_long_running_tasks_on_connection_loss = False

# Beat -----------------------------------------------------------------------------------------------------------------
# In memory: every entry is an interval of seconds, so there is nothing to remember over a restart, no file to spoil.
# Celery's own, with a pulse.
beat_scheduler = "workers.beat:WatchedScheduler"
beat_max_loop_interval = 5  # 300 s by default: a beat that was frozen finds its way back at once
beat_schedule = {
    tick.name.replace("_", "-"): {
        "task": tick.task,
        # Without `expires`: of each tick one message waits at most (workers/beat.py), and whoever comes late does its work at once.
        "schedule": tick.seconds(_settings),
    }
    for package in PACKAGES
    for tick in package.ticks
}
