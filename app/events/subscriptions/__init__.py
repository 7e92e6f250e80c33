"""Subscriptions: who gets which events, where to, and what became of it. Each stands on a consumer of its
own id."""
