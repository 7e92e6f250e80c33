"""Consumers: each follows some topics with a cursor of its own and hands what comes to one sink.

A subscription's live delivery is a consumer, and so is each replay. The scripts in `lua` are the state
machine. `claims` is a worker's side of it, `store` the operators' side, `ticks` the safety net. `runner` is
what a worker does with one wake-up: it gives a `turn` to `ordered` or `unordered`; `decision` and `health`
are the policy.
"""
