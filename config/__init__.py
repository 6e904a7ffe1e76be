"""Wires Settle together: settings (the only reader of the environment), the Celery app, what a process shares, logs."""

from settle_jobs import require_own_packages

# Workers come this way: Celery puts the current folder first on the path, and a `tasks.py` there would be imported.
require_own_packages()
