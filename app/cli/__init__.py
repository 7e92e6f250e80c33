"""The command line, `mediaops-sync`: a client of the HTTP API, but for `up` and `doctor`."""

from app.cli.root import main

__all__ = ["main"]
