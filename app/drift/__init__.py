"""Drift: what AVOS shows, beside what planning wants; looked at by itself near an event, and on demand."""
