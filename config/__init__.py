"""Wires Settle together: settings (the only reader of the environment), the Celery app, what a process shares, logs."""
