"""The command line, `mediaops-sync`: a client of the HTTP API, but for `up` and `doctor`. It begins in `root`."""
