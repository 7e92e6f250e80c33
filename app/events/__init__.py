"""The event stream: a log for each topic, its consumers, and subscriptions that deliver it to sinks."""
