"""Flower behind a password: `python -m workers.flower`. Started this way, no command line holds the
password.

Flower's `/metrics` and `/healthcheck` ask for no password. Therefore it listens on this machine
only, unless MEDIAOPS_FLOWER_HOST says otherwise.
"""

from __future__ import annotations

import sys

from app.settings import Settings
from workers.app import app, configure_logs


def main() -> None:
    settings = Settings.load()
    if not settings.flower_password:
        sys.exit(
            "Flower isn't started without a password: set MEDIAOPS_FLOWER_PASSWORD (or …_FILE), "
            "8 characters or more."
        )
    configure_logs()  # first: tornado keeps a handler that it finds
    app.start(
        [
            "flower",
            f"--address={settings.flower_host}",
            f"--port={settings.flower_port}",
            f"--basic-auth={settings.flower_user}:{settings.flower_password}",
            f"--logging={settings.log_level.lower()}",
            # With the reason of a failure, and without keyword arguments: no task has any.
            "--tasks-columns=name,state,args,result,exception,received,runtime,worker",
            "--max-tasks=10000",  # kept in memory
            "--inspect-timeout=1000",  # ms for each worker, when Flower starts
        ]
    )


if __name__ == "__main__":
    main()
