"""The stand-in as a process; see the package's docstring for what it serves."""

from __future__ import annotations

import asyncio
from pathlib import Path

from deploy.simulators.avos.journal import AvosJournal
from deploy.simulators.avos.service import Service
from deploy.simulators.parts.program import parser, serve, token_of


def main() -> None:
    options_parser = parser("python -m deploy.simulators.avos", __doc__)
    options_parser.add_argument("--state", type=Path, help="kept here from one run to the next")
    options_parser.add_argument("--save-every", type=float, default=2.0, help="seconds; default: 2")
    options_parser.add_argument("--auth-header", default="Authorization")
    options_parser.add_argument("--auth-scheme", default="Bearer")
    options = options_parser.parse_args()
    service = Service(
        AvosJournal(options.journal),
        token=token_of(options),
        header=options.auth_header,
        scheme=options.auth_scheme,
    )
    if options.state:
        service.records.load(options.state)

    def save() -> None:
        if options.state:
            service.records.save(options.state)

    asyncio.run(serve("AVOS stand-in", service, options, save, options.save_every))
    service.journal.close()


if __name__ == "__main__":
    main()
