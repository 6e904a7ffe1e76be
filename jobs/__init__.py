"""What a job is: its states and moves, its record, the ledger that holds it, when to look again.

Knows neither Celery nor HTTP.
"""
