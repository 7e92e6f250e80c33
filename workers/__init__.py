"""Celery: the application, and one thin module of tasks per queue."""
