"""The rights statements that CommonsDB accepts: 204 exact addresses (contract commonsdb 2.3)."""

from __future__ import annotations

_CC = "https://creativecommons.org"

#: The ports of CC BY by version; CC BY-SA has the same ones.
_PORTS = {
    "1.0": "fi il nl",
    "2.0": "at au be br ca cl de es fr hr it jp kr nl pl tw uk za",
    "2.1": "au ca es jp",
    "2.5": "ar au bg br ca ch cn co dk es hr hu il in it mk mt mx my nl pe pl pt scotland se si tw za",
    "3.0": (
        "am at au az br ca ch cl cn cr cz de ec ee eg es fr ge gr gt hk hr ie igo it lu nl "
        "no nz ph pl pr pt ro rs sg th tw ug us ve vn za"
    ),
    "4.0": "",
}

#: Of 2.1 there are ports only.
_UNPORTED = tuple(version for version in _PORTS if version != "2.1")

RIGHTS_STATEMENTS: frozenset[str] = frozenset(
    {f"{_CC}/publicdomain/mark/1.0/", f"{_CC}/publicdomain/zero/1.0/"}
    | {f"{_CC}/licenses/{family}/{version}/" for family in ("by", "by-sa") for version in _UNPORTED}
    | {
        f"{_CC}/licenses/{family}/{version}/{port}/"
        for family in ("by", "by-sa")
        for version, ports in _PORTS.items()
        for port in ports.split()
    }
)
