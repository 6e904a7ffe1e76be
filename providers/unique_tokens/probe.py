"""What `settle doctor --provider unique_tokens` asks: reads only, and at most the opening of the workers' session.

No order, no deletion. What only a line can tell is told if the session happens to hold one.
"""

from __future__ import annotations

import time
import uuid
from typing import Any

from jobs.artifacts import Artifact, Inspector
from jobs.errors import ArtifactError, SizeMismatch
from providers.base import Probe
from providers.errors import LostAnswer, ProviderError, Unauthorized
from providers.http import segment
from providers.unique_tokens.documents import head_of, joined, link, part, whole
from providers.unique_tokens.sessions import SessionProvider

#: A preset that the pages show, and the number of its characters.
_ALPHABET, _LENGTH, _DIGITS = "UPPER_HEX", 16, 12
#: What one part can deliver is this over the digits, by the examples (contract 4).
_PART_BYTES = 1_048_576
#: A milestone call that takes this share of the read timeout is held open, not answered.
_SLOW = 0.5
#: No larger file is fetched only to learn how it is hashed, bytes.
_SAMPLE = 4 * 1024 * 1024

_SETTING = "SETTLE_UNIQUE_TOKENS__"


async def probe(provider: SessionProvider) -> list[Probe]:
    """Ask one thing after the other.

    Raises:
        ProviderError: no session can be opened, or its lines cannot be listed.
    """
    was_open = provider.notes.recall(provider.name, "session") is not None
    lines = (await provider.call("GET", "/api/tokens")).get("data")
    found = [Probe("the session of the workers is open" if was_open else "a session was opened; the workers use it")]
    found.append(await _alphabet(provider))
    found.append(await _unknown(provider))
    if not isinstance(lines, list):
        remedy = "orders whose answer was lost cannot be found again: resolve them by hand"
        return [*found, Probe("the list of lines is no list", remedy)]
    usable = [line for line in lines if isinstance(line, dict) and isinstance(line.get("id"), str)]
    found.append(_list(lines, usable))
    for words, ask in ((("requested", "started"), _milestone), (("ended", "finished", "analyzed"), _hashes)):
        line = next((line for line in usable if part(line, "attributes").get("status") in words), None)
        if line is not None:
            found.append(await ask(provider, line))
    return found


async def _alphabet(provider: SessionProvider) -> Probe:
    try:
        body = await provider.call("GET", f"/api/alphabets/{_ALPHABET}/{_DIGITS}")
    except ProviderError as error:
        remedy = f"set {_SETTING}CHECK_CAPACITY=false: orders are sent without asking what an alphabet can give"
        return Probe(f"the capacity of an alphabet is not told ({error})", remedy)
    attributes = part(body, "data", "attributes")
    told = whole(attributes.get("available")), whole(attributes.get("reachable"))
    if None in told:
        return Probe(
            "an alphabet comes without its capacity",
            f"orders are sent unchecked; {_SETTING}CHECK_CAPACITY=false saves the call",
        )
    if told != (_LENGTH**_DIGITS, _PART_BYTES // _DIGITS):
        return Probe(f"{_ALPHABET} at {_DIGITS} digits gives {told[0]}, {told[1]} in one part: other than on the pages")
    return Probe(f"the capacity of an alphabet is told as on the pages: {told[1]} in one part")


async def _unknown(provider: SessionProvider) -> Probe:
    """An unknown line: the code inside the body, and the one of HTTP."""
    session = await provider.session()
    path = f"/api/tokens/{uuid.uuid4()}"
    answer = await provider.http.call("GET", path, headers={"Session-Key": session})
    try:
        errors: Any = answer.object().get("errors")
        first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
        code = whole(first.get("status"))
    except ProviderError:
        code = None
    if code is None and answer.status < 400:
        return Probe(
            f"an unknown line is answered with HTTP {answer.status} and no error",
            "watch the first jobs: a line that is gone is polled until its deadline",
        )
    return Probe(f"an unknown line is answered with HTTP {answer.status}, code {code}")


def _list(lines: list[Any], usable: list[dict[str, Any]]) -> Probe:
    if not lines:
        return Probe("the session holds no lines, so what only a line shows was not seen")
    paid = [line for line in usable if isinstance(part(line, "relationships", "payment", "data").get("ident"), str)]
    if len(paid) < len(lines):
        what = f"{len(lines) - len(paid)} of {len(lines)} lines in the list show no id or no payment"
        return Probe(what, "orders whose answer was lost may not be found again: resolve them by hand")
    return Probe(f"{len(lines)} lines are listed, each with its payment: a lost order can be found again")


async def _milestone(provider: SessionProvider, line: dict[str, Any]) -> Probe:
    """A milestone that may not be reached yet."""
    began = time.monotonic()
    try:
        body = await provider.call("GET", f"/api/tokens/{segment(line['id'])}/ended")
        what = f"answered with the record ({part(body, 'data', 'attributes').get('status')!r})"
    except LostAnswer:
        what = "not answered in time"
    except ProviderError as error:
        what = f"answered with an error ({error})"
    held = time.monotonic() - began > _SLOW * float(provider.settings.read_timeout) or what == "not answered in time"
    return Probe(f"a milestone ahead is {what}", f"set {_SETTING}POLL_AT=current: it is held open" if held else "")


async def _hashes(provider: SessionProvider, line: dict[str, Any]) -> Probe:
    """Of which file the published digest is, and by which rule."""
    setting = provider.settings.hashes_of
    try:
        body = await provider.call("GET", f"/api/tokens/{segment(line['id'])}")
        attributes, address = part(body, "data", "attributes"), link(part(body, "links"), "data")
        size, digest = whole(part(attributes, "filesizes").get("data")), part(attributes, "filehashes").get("data")
        seed = part(body, "meta").get("seed")
        if address is None or size is None or size > _SAMPLE or not isinstance(digest, str):
            return Probe("a finished line shows no digest, or is too long to be fetched for this")
        joint = "&" if "?" in address else "?"
        promised = Artifact("tokens", sha256=digest, seed=seed if isinstance(seed, str) else None)
        for of, where in (("plain", address), ("gz", f"{address}{joint}format=gz")):
            try:
                rule = await _rule(provider, where, promised)
            except ArtifactError:
                continue
            right = f"set {_SETTING}HASHES_OF={of}" if of != setting else ""
            return Probe(f"a digest is that of the {of} file, by the rule {rule!r}", right)
    except (ProviderError, Unauthorized) as error:
        return Probe(f"the files of a finished line could not be looked at ({error})")
    remedy = "its files fail as digest_mismatch; leave `seed` out, so that no digest is promised, and tell us the rule"
    return Probe("no known rule gives the digest of a finished line", remedy)


async def _rule(provider: SessionProvider, address: str, promised: Artifact) -> str | None:
    inspector = Inspector(promised)
    async with provider.http.download(address, headers={"Session-Key": await provider.session()}) as chunks:
        head, _ = await head_of(chunks)
        async for chunk in joined(head, chunks):
            inspector.update(chunk)
            if inspector.size > _SAMPLE:
                raise SizeMismatch(promised.name, f"at most {_SAMPLE} bytes", "more")
    rule = inspector.matching_rule()
    return rule.value if rule else None
