"""Outgoing requests: their records, lanes and states, and every script that changes one."""
