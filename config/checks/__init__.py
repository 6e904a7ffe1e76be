"""What may go wrong with the set-up, looked at before it does: by `settle doctor`, and by every worker as it starts.

One module per look; each gives findings with a remedy. The caller brings what is looked at.
"""

from config.checks.finding import Finding, Level
from config.checks.ledger import ledger, reachable

__all__ = ["Finding", "Level", "ledger", "reachable"]
