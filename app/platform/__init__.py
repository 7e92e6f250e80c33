"""What every room stands on: Redis, keys, clock, outgoing HTTP, errors, dispatch, authentication."""
