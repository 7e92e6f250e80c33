"""One machine: everything that `mediaops-sync up` starts, kept running by supervisor."""
