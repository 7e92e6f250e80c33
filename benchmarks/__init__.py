"""Measurements that anybody can repeat: `make bench`, or `python -m benchmarks --help`.

Everything runs on this machine's loopback in a directory that is thrown away. Each number is the median of several
rounds; in every round our side and the plain Celery way beside it (`benchmarks/naive/`) do the same work on servers
with the same settings, so that the ratios hold on a noisy machine too.
"""
