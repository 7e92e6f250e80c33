"""The event stream: what happens, as a log per topic, and who is told of it."""
