"""Whether the bill of materials names what is locked: exactly that, with its hashes. Called by `make sbom`."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

Listed = dict[tuple[str, str], set[str]]


def of_lock(text: str) -> Listed:
    """Name, version and hashes of each pin."""
    found = {}
    for block in re.split(r"\n(?=[A-Za-z0-9])", text.strip()):
        pin = re.match(r"([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?==([^ ;\\]+)", block)
        if pin is None:
            raise SystemExit(f"not a pin: {block[:60]!r}")
        found[pin[1], pin[2]] = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", block))
    return found


def of_bom(text: str) -> Listed:
    """The same of the components."""
    return {
        (each["name"], each["version"]): {
            one["content"] for reference in each["externalReferences"] for one in reference.get("hashes", ())
        }
        for each in json.loads(text)["components"]
    }


if __name__ == "__main__":
    locked, listed = of_lock(Path("requirements.lock").read_text()), of_bom(Path("sbom.cdx.json").read_text())
    if locked != listed:
        sys.exit(f"sbom.cdx.json differs from requirements.lock: {sorted(locked.keys() ^ listed.keys())}")
    sys.stdout.write(f"sbom.cdx.json: {len(listed)} packages, as they are locked\n")
