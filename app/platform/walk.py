"""A walk through all keys of a tenant, some at each tick, round after round. It finds what has to be removed and is in no
index, such as what an earlier release has left. A round of a million keys takes some hours; all ticks cost the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from app.platform.keys import Keys
from app.platform.redis import RedisClient, store_errors

STEPS: Final = 20  # of a tick
STEP: Final = 500  # keys that the server looks at in a step: a fraction of a millisecond

Visitor = Callable[[Sequence[str]], int]


class Walk:
    """`visitors`: by the first word of a key's name, a function that gets such keys (whole names) and returns how many it removed."""

    def __init__(self, client: RedisClient, keys: Keys, visitors: Mapping[str, Visitor]) -> None:
        self._client = client
        self._prefix = keys.prefix
        self._cursor = f"{keys.prefix}walk:cursor"
        self._visitors = visitors

    def tick(self) -> int:
        """Go on; how many keys were removed. Raises Unavailable while the store is away."""
        with store_errors():
            cursor = int(self._client.get(self._cursor) or b"0")
        gone = 0
        for _ in range(STEPS):
            with store_errors():
                cursor, found = self._client.scan(cursor, match=f"{self._prefix}*", count=STEP)
            gone += self._visit(found)
            with store_errors():
                self._client.set(self._cursor, str(cursor))
            if cursor == 0:
                break
        return gone

    def _visit(self, found: Sequence[bytes]) -> int:
        by_word: dict[str, list[str]] = {}
        for key in found:
            name = key.decode(errors="replace")
            word = name.removeprefix(self._prefix).partition(":")[0]
            if word in self._visitors:
                by_word.setdefault(word, []).append(name)
        return sum(self._visitors[word](names) for word, names in by_word.items())
