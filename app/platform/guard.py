"""Which addresses a URL given by a user may lead to: public ones, and the networks that the operator allows.

A URL is checked when it is given, for a clear answer, and its host's addresses again whenever a connection is made.
What is connected to is one of the addresses that were checked just before, so a name that means something else a moment
later (DNS rebinding) changes nothing. Decimal, octal and hexadecimal hosts need no care of their own: what counts is the
address that the resolver makes of them.

The ranges are those of Microsoft's AntiSSRF. Its session isn't used: it looks names up before every request instead of
every connection and without bound, sends a Host header without the port, adds X-Forwarded-For, connects to the first
address only, follows redirects, and takes proxies from the environment (the proxy would then resolve the name again,
unchecked). Our own transport connects, as everywhere else; `Guard.addresses` is its hook.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from AntiSSRF import IPAddressRanges
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from app.platform.errors import InvalidInput

LONGEST_URL: Final = 2_048
CHECK_S: Final = 2.0  # for a look-up while somebody waits for the answer to a create
# IPv4 addresses inside IPv6 ones that the list leaves out: the old "compatible" form, and SIIT's.
_ALSO_DENIED: Final = ("::/96", "::ffff:0:0:0/96")
_DENIED: Final = tuple(ip_network(r) for r in (*IPAddressRanges.recommended_latest, *_ALSO_DENIED))

Address = IPv4Address | IPv6Address
Resolver = Callable[[str], Sequence[str]]


class AddressRefused(ValueError):
    """The host has no address that may be connected to. The text names no address: what an internal name resolves to
    is nobody's business."""


def system_resolver(host: str) -> Sequence[str]:
    """The addresses of a name, in the order in which to try them. Raises OSError, UnicodeError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class AddressGuard:
    """Decides about addresses. `allowed`: networks such as `10.1.0.0/16` that may be reached besides public ones.

    One for the process; any number of threads may use it.
    """

    def __init__(self, allowed: Sequence[str] = (), *, resolver: Resolver = system_resolver) -> None:
        self._allowed = tuple(ip_network(network, strict=False) for network in allowed)
        self._resolver = resolver
        self._under_way: dict[str, Future[Sequence[str]]] = {}
        self._lock = threading.Lock()

    def permits(self, address: str) -> bool:
        """Whether this very address may be connected to; False for what is no address."""
        try:
            given = ip_address(address)
        except ValueError:
            return False
        plain = _plain(given)
        if any(plain in network for network in self._allowed):
            return True
        return plain.is_global and not any(plain in network for network in _DENIED)

    def addresses(self, host: str, timeout_s: float) -> list[str]:
        """The addresses of a host that may be connected to, looked up now.

        Raises AddressRefused where there are none, OSError where the name can't be looked up, TimeoutError.
        """
        permitted = [address for address in self._look_up(host, timeout_s) if self.permits(address)]
        if not permitted:
            raise AddressRefused(f"{host[:255]} has no address that may be connected to")
        return permitted

    def check_url(self, url: str, field: str) -> None:
        """Refuse what can't be or may not be called. Raises InvalidInput naming `field`.

        A host that isn't known (yet), or whose look-up takes long, is let through: connecting checks again.
        """
        fault = _fault(url) or self._leads_nowhere((urlsplit(url).hostname or "").rstrip("."))
        if fault:
            raise InvalidInput([(field, fault)])

    def _leads_nowhere(self, host: str) -> str | None:
        try:
            self.addresses(host, CHECK_S)
        except AddressRefused:
            return (
                "The URL leads to an address that isn't public. MEDIAOPS_ALLOWED_CIDRS can allow its network."
            )
        except UnicodeError:
            return "The URL's host is no name."
        except OSError:
            return None
        return None

    def _look_up(self, host: str, timeout_s: float) -> Sequence[str]:
        """The resolver knows no time-outs, so it works in a thread of its own, one per name at most: a name server
        that never answers holds up nobody but those who ask for its names."""
        try:
            return [str(ip_address(host))]
        except ValueError:
            pass
        with self._lock:
            looking = self._under_way.get(host)
            if looking is None:
                looking = self._under_way[host] = Future()
                threading.Thread(
                    target=self._resolve, args=(host, looking), name="resolve", daemon=True
                ).start()
        return looking.result(timeout_s)

    def _resolve(self, host: str, looking: Future[Sequence[str]]) -> None:
        try:
            found = self._resolver(host)
        except (OSError, ValueError) as error:
            self._done(host)
            looking.set_exception(error)
        else:
            self._done(host)
            looking.set_result(found)

    def _done(self, host: str) -> None:
        with self._lock:
            del self._under_way[host]


def _plain(address: Address) -> Address:
    """An IPv4 address that is written as an IPv6 one (`::ffff:127.0.0.1`) as what it is."""
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def _fault(url: str) -> str | None:
    """What is wrong with the spelling of a URL, or None."""
    if len(url) > LONGEST_URL:
        return f"A URL has at most {LONGEST_URL} characters."
    if not url.isascii() or not url.isprintable() or any(c in url for c in ' \\"<>^`{|}'):
        return "A URL has printable ASCII characters only, others percent-encoded (a host: as xn--…)."
    try:
        parts, strict = urlsplit(url), parse_url(url)
        port = parts.port
    except (ValueError, LocationParseError):
        return "This is no URL."
    if parts.scheme not in ("http", "https"):
        return "A URL starts with http:// or https://."
    if "@" in parts.netloc:
        return "A URL can't hold a user or a password; use headers."
    host = parts.hostname or ""
    if not host or "%" in host or host != (strict.host or "").strip("[]").lower():
        return "The URL has no host that can be called."
    if port == 0:
        return "Port 0 can't be called."
    if parts.fragment:
        return "A URL can't have a fragment."
    return None
