"""Where a URL given by a user may lead."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_address

import pytest

from app.platform.errors import InvalidInput
from app.platform.failures import describe
from app.platform.guard import AddressGuard, AddressRefused, system_resolver
from app.platform.http_client import CallError, HttpTransport
from tests.support.receiver import Receiver, Reply

PUBLIC = "93.184.216.34"


def resolver(**names: Sequence[str]) -> Callable[[str], Sequence[str]]:
    """A name server of the test's own; `_` stands for dots and hyphens."""

    def resolve(host: str) -> Sequence[str]:
        found = names.get(host.replace(".", "_").replace("-", "_"))
        if found is None:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return found

    return resolve


@pytest.mark.parametrize(
    ("address", "permitted"),
    [
        (PUBLIC, True),
        ("8.8.8.8", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("127.0.0.1", False),
        ("127.255.255.254", False),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("172.31.255.255", False),
        ("172.32.0.1", True),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("168.63.129.16", False),  # Azure's wire server is a public address by number only
        ("192.0.2.1", False),
        ("198.18.0.1", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        (f"::ffff:{PUBLIC}", True),
        ("::127.0.0.1", False),
        ("::ffff:0:127.0.0.1", False),
        ("64:ff9b::127.0.0.1", False),
        ("64:ff9b::8.8.8.8", False),
        ("64:ff9b:1::1", False),
        ("2002:7f00:1::", False),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", False),  # Teredo
        ("fc00::1", False),
        ("fd00:ec2::254", False),  # AWS's metadata service
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("2001:db8::1", False),
        ("not an address", False),
        ("", False),
        ("2130706433", False),
    ],
)
def test_addresses_are_public_or_refused(address: str, permitted: bool) -> None:
    assert AddressGuard().permits(address) is permitted


def test_an_operator_can_allow_networks() -> None:
    guard = AddressGuard(["10.1.0.0/16", "fd12::/16", "127.0.0.1"])
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd12::1", "127.0.0.1", PUBLIC):
        assert guard.permits(address)
    for address in ("10.2.0.1", "fd13::1", "127.0.0.2", "::1", "169.254.169.254"):
        assert not guard.permits(address)


@pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.1", "192.168.0.1", "fe80::1", "fd00::1", "::1"])
def test_what_python_knows_not_to_be_public_is_refused_whatever_the_list_says(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list is a package's, which may lose an entry, or not have a range that has just been reserved."""
    monkeypatch.setattr("app.platform.guard._DENIED", ())
    assert not AddressGuard().permits(address)
    assert AddressGuard([address]).permits(address)
    assert AddressGuard().permits(PUBLIC)


@pytest.mark.parametrize("address", ["168.63.129.16", "224.0.0.1", "64:ff9b::7f00:1"])
def test_what_the_list_has_is_refused_though_python_calls_it_public(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ip_address(address).is_global
    assert not AddressGuard().permits(address)
    monkeypatch.setattr("app.platform.guard._DENIED", ())
    assert AddressGuard().permits(address)


def test_a_setting_that_is_no_network_is_an_error() -> None:
    with pytest.raises(ValueError, match="10"):
        AddressGuard(["10.1.0.0/64"])


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://localhost/",
        "http://LOCALHOST:8080/",
        "http://localhost./",
        "http://127.0.0.1:6379/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://0/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[fe80::1%25eth0]/",
        "https://internal.example/",
        "https://mixed-private.example/",
        "file:///etc/passwd",
        "ftp://example.com/",
        "gopher://example.com/",
        "redis://example.com:6379/",
        "//example.com/",
        "example.com/hook",
        "http:/example.com",
        "http://",
        "http:///path",
        "http://user@example.com/",
        "http://user:password@example.com/",
        "http://example.com@127.0.0.1/",
        "http://example.com\\@127.0.0.1/",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:http/",
        "http://example.com/#fragment",
        "http://example.com/a b",
        "http://example.com/a\r\nHost: other",
        "http://exämple.com/",
        "http://[::1/",
        "https://" + "a" * 64 + ".example/",
        "https://example.com/" + "a" * 2048,
        "",
    ],
)
def test_urls_that_are_refused_when_they_are_given(url: str) -> None:
    def resolve(host: str) -> Sequence[str]:
        given = resolver(internal_example=["10.0.0.7"], mixed_private_example=["fd00::1", "192.168.0.1"])
        try:
            return given(host)
        except socket.gaierror:
            return [PUBLIC] if host == "example.com" else system_resolver(host)

    with pytest.raises(InvalidInput) as refused:
        AddressGuard(resolver=resolve).check_url(url, "sink.url")
    assert refused.value.field == "sink.url"
    assert "10.0.0.7" not in str(refused.value)  # what an internal name resolves to is nobody's business


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hook?key=1&a[]=%20",
        "http://example.com:8080",
        "HTTPS://Example.COM/Hook",
        "https://93.184.216.34/",
        "https://[2606:2800:220:1:248:1893:25c8:1946]:8443/",
        "https://not-known-yet.example/",
        "https://xn--exmple-cua.com/",
        "https://mixed.example/",
    ],
)
def test_urls_that_may_be_called(url: str) -> None:
    names = resolver(example_com=[PUBLIC], xn__exmple_cua_com=[PUBLIC], mixed_example=["10.0.0.1", PUBLIC])
    AddressGuard(resolver=names).check_url(url, "sink.url")


def test_only_the_permitted_ones_of_a_hosts_addresses_are_used() -> None:
    guard = AddressGuard(resolver=resolver(mixed=["10.0.0.1", PUBLIC, "::1"]))
    assert guard.addresses("mixed", 1) == [PUBLIC]
    with pytest.raises(AddressRefused):
        AddressGuard(resolver=resolver(private=["10.0.0.1", "::1"])).addresses("private", 1)


def test_a_name_server_that_never_answers_holds_up_only_its_own_names() -> None:
    stuck, asked = threading.Event(), []

    def resolve(host: str) -> Sequence[str]:
        asked.append(host)
        if host == "stuck.example":
            stuck.wait(30)
        return [PUBLIC]

    guard = AddressGuard(resolver=resolve)
    started = time.monotonic()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            guard.addresses("stuck.example", 0.05)
    assert guard.addresses("other.example", 1) == [PUBLIC]
    assert time.monotonic() - started < 1
    assert asked == ["stuck.example", "other.example"]  # one look-up for all who wait for it
    stuck.set()


def call(guard: AddressGuard, url: str, within: float = 5) -> int:
    transport = HttpTransport(url, pool_size=1, resolve=guard.addresses)
    try:
        return transport.call("POST", "/", {}, b"{}", deadline=time.monotonic() + within).status
    finally:
        transport.close()


def code_of_call(guard: AddressGuard, url: str, within: float = 5) -> str:
    with pytest.raises(CallError) as failed:
        call(guard, url, within)
    assert not failed.value.sent
    return describe(failed.value.cause, sent=failed.value.sent)[0]


def test_what_is_connected_to_is_what_was_checked() -> None:
    """A name that means something public when it is asked first, and this machine a moment later."""
    answers = [[PUBLIC], ["127.0.0.1"]]
    guard = AddressGuard(resolver=lambda _: answers.pop(0))
    guard.check_url("http://rebinding.example/", "url")
    with Receiver() as receiver:
        assert code_of_call(guard, f"http://rebinding.example:{receiver.port}") == "address_refused"
        assert receiver.connections == 0


def test_the_name_is_looked_up_once_for_a_connection() -> None:
    asked: list[str] = []

    def resolve(host: str) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"]

    with Receiver() as receiver:
        transport = HttpTransport(
            f"http://hook.example:{receiver.port}",
            pool_size=1,
            resolve=AddressGuard(["127.0.0.0/8"], resolver=resolve).addresses,
        )
        for _ in range(3):
            assert transport.call("POST", "/", {}, b"{}", deadline=time.monotonic() + 5).status == 200
        transport.close()
        assert asked == ["hook.example"]
        assert receiver.connections == 1
        assert receiver.got[0].headers["host"] == f"hook.example:{receiver.port}"


def test_further_addresses_are_tried() -> None:
    with Receiver() as receiver:
        guard = AddressGuard(["127.0.0.0/8"], resolver=lambda _: ["127.0.0.9", "127.0.0.1"])
        assert call(guard, f"http://two.example:{receiver.port}") == 200


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0177.0.0.1", "127.1"]
)
def test_this_machine_is_not_connected_to_under_any_of_its_names(host: str) -> None:
    with Receiver() as receiver:
        assert code_of_call(AddressGuard(), f"http://{host}:{receiver.port}") == "address_refused"
        assert receiver.connections == 0


def test_a_name_that_is_not_known_is_no_connection() -> None:
    assert code_of_call(AddressGuard(resolver=resolver()), "http://unknown.example/") == "connect_failed"


def test_a_look_up_that_takes_too_long_is_given_up() -> None:
    stuck = threading.Event()

    def resolve(host: str) -> Sequence[str]:
        stuck.wait(30)
        return [PUBLIC]

    started = time.monotonic()
    assert (
        code_of_call(AddressGuard(resolver=resolve), "http://stuck.example/", within=0.2) == "connect_failed"
    )
    assert time.monotonic() - started < 1
    stuck.set()


def test_a_redirect_to_an_inner_address_is_an_answer_like_any_other() -> None:
    with Receiver(lambda _: Reply(302, {"Location": "http://169.254.169.254/"})) as receiver:
        assert call(AddressGuard(["127.0.0.0/8"]), f"http://127.0.0.1:{receiver.port}") == 302


def test_a_guarded_transport_takes_no_proxy() -> None:
    with pytest.raises(ValueError, match="proxy"):
        HttpTransport("http://a", pool_size=1, resolve=AddressGuard().addresses, proxy="http://proxy:1")
