"""Everything that the module of a workflow needs. These names are an interface: they follow the version of Settle."""

from tasks.emit import emit
from tasks.fetch import fetch
from tasks.measure import measure
from tasks.poll import poll
from tasks.submit import submit
from tasks.verify import verify
from tasks.ways import workflow

__all__ = ["emit", "fetch", "measure", "poll", "submit", "verify", "workflow"]
