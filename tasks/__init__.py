"""Thin Celery tasks, one module per stage, and the clock that wakes due jobs. Messages carry ids only."""
