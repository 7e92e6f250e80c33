"""What every package stands on: Redis, keys, clock, outgoing HTTP, errors, dispatch, authentication."""
