"""The parts together: real server, real processes, real HTTP."""
