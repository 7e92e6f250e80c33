"""The stand-in as a process; see the package's docstring for what it serves."""

from __future__ import annotations

import asyncio
from pathlib import Path

from deploy.simulators.live.service import LiveService
from deploy.simulators.parts.journal import Journal
from deploy.simulators.parts.program import parser, serve, token_of


def main() -> None:
    options_parser = parser("python -m deploy.simulators.live", __doc__)
    options_parser.add_argument("--keys-file", type=Path, help="account=key,…: one of these keys is required")
    options_parser.add_argument("--auth-header", default="X-API-KEY", help="of v1; v2 has a bearer token")
    options = options_parser.parse_args()
    token = token_of(options)
    keys = {token} if token else set()
    if options.keys_file:
        keys |= {pair.strip().partition("=")[2] for pair in options.keys_file.read_text().split(",")}
    # A comma at the end makes no empty key.
    service = LiveService(Journal(options.journal), keys=keys - {""}, header=options.auth_header)
    asyncio.run(serve("Live API stand-in", service, options, lambda: None, 3600))
    service.journal.close()


if __name__ == "__main__":
    main()
