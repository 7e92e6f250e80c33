"""AVOS, the downstream content-metadata service: what is sent to it, how, and what its answers
mean."""
