"""Stand-ins of the outside services, for trying out and for tests."""
