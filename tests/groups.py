"""`--dist=loadgroup` of pytest-xdist, by the names of the tests.

xdist 3.8 would write its mark `xdist_group` into the id of a test; pytest 9.2 does not let it, and no group is formed.
"""

from __future__ import annotations

import re

from xdist.scheduler import LoadScopeScheduling

#: Tests that share a house: one group for each parameter that has a house of its own.
_SHARING = re.compile(r"(containers/test_compose|acceptance/test_main_job)\.py::\w+(\[\w+])?")


class Groups(LoadScopeScheduling):
    """Tests that share a house run in one process; every other one runs wherever there is room."""

    def _split_scope(self, nodeid: str) -> str:
        found = _SHARING.search(nodeid)
        return "".join(part or "" for part in found.groups()) if found else nodeid
