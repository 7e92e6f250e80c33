"""Subscriptions: who gets which events, where to, and what became of it. Each stands on a feed of its own id."""
