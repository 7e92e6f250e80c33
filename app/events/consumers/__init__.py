"""Consumers: each follows some topics with a cursor of its own and hands what comes to one sink.

A subscription's live delivery is a consumer, and so is each replay. `store` and its scripts are the state
machine, `decide` the policy, `runner` what a worker does with one wake-up, `ticks` the safety net under
lost wake-ups and dead workers.
"""
