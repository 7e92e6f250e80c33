"""Settings of the plain Celery side: broker and backend from the environment, and one of the tunings by name."""

from __future__ import annotations

from typing import Any, Final

from environs import Env

_env = Env()
AVOS_URL: Final = _env.str("NAIVE_AVOS_URL", "http://127.0.0.1:9")
SOCKET: Final = _env.str("NAIVE_REDIS_SOCKET", "/nowhere")
TUNING: Final = _env.str("NAIVE_TUNING", "defaults")

TUNINGS: Final[dict[str, dict[str, Any]]] = {
    "defaults": {},
    "late": {"worker_prefetch_multiplier": 1, "task_acks_late": True},
    "lean": {"worker_prefetch_multiplier": 64, "broker_pool_limit": 50},
    "resultless": {"worker_prefetch_multiplier": 64, "broker_pool_limit": 50, "task_ignore_result": True},
}
COMPARED: Final = ("defaults", "late", "lean")  # chains with a result backend
BESIDE: Final = ("resultless",)

CONFIGURATION: Final[dict[str, Any]] = {
    "broker_url": f"redis+socket://{SOCKET}",
    "result_backend": f"redis+socket://{SOCKET}",
    # Flower shows every task, as with ours.
    "worker_send_task_events": True,
    "broker_connection_retry_on_startup": True,
    **TUNINGS[TUNING],
}
