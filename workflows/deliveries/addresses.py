"""Where a webhook may go: to public addresses. What is looked at is the address of the connection itself.

A name may be looked up twice with two answers (DNS rebinding), and an address may hide in another one. So no name is
judged: the socket to an address that is not public is never made.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

#: Public by its number, and yet a service of the machine's own cloud (Azure's for machines, WireServer).
_OF_CLOUDS = frozenset({IPv4Address("168.63.129.16")})
#: NAT64: the last 32 bits are an address of the old kind.
_NAT64 = IPv6Network("64:ff9b::/96")
#: Addresses of the old kind in the last 32 bits, out of use.
_COMPATIBLE = IPv6Network("::/96")
#: Relays out of use; special purposes, one of them Oracle's service for machines.
_SPECIAL = (IPv4Network("192.88.99.0/24"), IPv4Network("192.0.0.0/24"))

#: What aiohttp gives: family, kind, protocol, name, address.
AddressInfo = tuple[Any, Any, int, str, tuple[Any, ...]]


class PrivateAddress(OSError):
    """A connection to an address that is not public was asked for. Quotes no address."""


def public(text: str) -> bool:
    """Whether an address belongs to the public network: not private, loopback, link-local, of a cloud's machine …"""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return _public(address)


def _public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address):
        inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in _NAT64 or address in _COMPATIBLE:
            inner.append(IPv4Address(int(address) & 0xFFFFFFFF))
        if found := [each for each in inner if each is not None]:
            return all(map(_public, found))
    elif address in _OF_CLOUDS or any(address in network for network in _SPECIAL):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def sockets(*, allow_private: bool) -> Callable[[AddressInfo], socket.socket]:
    """What makes the sockets of a client.

    Args:
        allow_private: whether any address will do.
    """

    def make(info: AddressInfo) -> socket.socket:
        family, kind, protocol, _, address = info
        if not allow_private and not public(str(address[0])):
            raise PrivateAddress("its name leads to an address that is not public")
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made

    return make
