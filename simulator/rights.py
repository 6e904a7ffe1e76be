"""The rights statements that CommonsDB accepts: 204 exact addresses (contract commonsdb 2.3)."""

_CC = "https://creativecommons.org/"

# Country ports by licence version; CC BY and CC BY-SA have the same ones. 2.1 exists only as ports.
_PORTS = {
    "1.0": "fi il nl",
    "2.0": "at au be br ca cl de es fr hr it jp kr nl pl tw uk za",
    "2.1": "au ca es jp",
    "2.5": "ar au bg br ca ch cn co dk es hr hu il in it mk mt mx my nl pe pl pt scotland se si tw za",
    "3.0": "am at au az br ca ch cl cn cr cz de ec ee eg es fr ge gr gt hk hr ie igo it lu nl no nz ph pl pr"
    " pt ro rs sg th tw ug us ve vn za",
    "4.0": "",
}


def _licences(family: str) -> set[str]:
    found = set()
    for version, ports in _PORTS.items():
        base = f"{_CC}licenses/{family}/{version}/"
        if version != "2.1":
            found.add(base)
        found.update(f"{base}{port}/" for port in ports.split())
    return found


RIGHTS_STATEMENTS: frozenset[str] = frozenset(
    {f"{_CC}publicdomain/mark/1.0/", f"{_CC}publicdomain/zero/1.0/"} | _licences("by") | _licences("by-sa")
)
