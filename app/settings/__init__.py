"""Every setting, once, and the only reader of the environment.

A setting is an environment variable `MEDIAOPS_…`; any of them may be given as `MEDIAOPS_…_FILE`, the path of
a file that contains the value. All mistakes are reported together, at start.

Where the environment is silent, what a running `mediaops-sync up` has chosen counts (the file `running.json` in the data
directory), so that `mediaops-sync status` in another terminal finds the embedded server and the free ports by itself.

`model` has the settings and their defaults, `reader` reads and `checks` checks them, `locations` knows where things are.
"""

from app.settings.locations import (
    COMMAND,
    RUNNING_FILE,
    embedded_socket,
    environment,
    own_command,
    proxy_for,
    without_password,
)
from app.settings.model import Settings
from app.settings.reader import PREFIX, InvalidSettings

__all__ = [
    "COMMAND",
    "PREFIX",
    "RUNNING_FILE",
    "InvalidSettings",
    "Settings",
    "embedded_socket",
    "environment",
    "own_command",
    "proxy_for",
    "without_password",
]
