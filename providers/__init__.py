"""One module per remote API: its models, its calls, its words for a status. One shared HTTP client."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from providers.base import Provider


@cache
def discover() -> dict[str, type[Provider]]:
    """Every provider by its name: the modules of this package that name a `PROVIDER`."""
    modules = (importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__))
    classes = [module.PROVIDER for module in modules if hasattr(module, "PROVIDER")]
    return {provider.name: provider for provider in sorted(classes, key=lambda provider: provider.name)}
