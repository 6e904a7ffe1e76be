"""One module per remote API: its models, its calls, its words for a status. One shared HTTP client.

Providers of other packages come by an entry point of the group `settle.providers`, see `providers/installed.py`.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from providers.base import Provider


@cache
def discover() -> dict[str, type[Provider]]:
    """Every provider by its name: the modules of this package that name a `PROVIDER`, and those that are installed.

    Raises:
        ConfigurationError: an installed provider cannot be loaded, is incomplete, or takes a name that is in use.
    """
    modules = (importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__))
    own = {module.PROVIDER.name: module.PROVIDER for module in modules if hasattr(module, "PROVIDER")}
    from providers.installed import added

    return dict(sorted((own | added(own)).items()))
