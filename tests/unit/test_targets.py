"""Which addresses of users we call: by their text, and by what their names resolve to."""

from __future__ import annotations

import pytest

from orthocontracts.addresses import refusal
from orthofunctions.domain.targets import AllowedHosts, TargetError


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1", "loopback"),
        ("127.8.9.1", "loopback"),
        ("::1", "loopback"),
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("10.1.2.3", "private"),
        ("172.16.0.1", "private"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "not public"),
        ("169.254.169.254", "link-local"),
        ("168.63.129.16", "not public"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
        ("240.0.0.1", "private"),
        ("255.255.255.255", "private"),
        ("198.18.0.1", "private"),
        ("192.0.2.1", "private"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("fc00::1", "private"),
        ("fd00:ec2::254", "private"),
        ("fec0::1", "site-local"),
        ("::ffff:10.0.0.1", "private"),
        ("::ffff:169.254.169.254", "link-local"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::127.0.0.1", "reserved"),
        ("64:ff9b::a9fe:a9fe", "link-local"),
        ("64:ff9b:1::1", "local translation"),
        ("2002:a00:1::", "private"),
        ("2001::1", "reserved for protocols"),
        ("2001:db8::1", "for documentation"),
        ("nowhere", "it is no address"),
        ("8.8.8.8", None),
        ("::ffff:8.8.8.8", None),
        ("64:ff9b::808:808", None),
        ("2606:4700:4700::1111", None),
    ],
)
def test_only_public_addresses_are_called(address: str, why: str | None) -> None:
    assert refusal(address) == why


SITE = AllowedHosts.of("hooks.example.com, *.partner.example, ports.example:8443")


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("https://hooks.example.com", "hooks.example.com", 443, "/"),
        ("https://HOOKS.example.com:443/a?b=c", "hooks.example.com", 443, "/a?b=c"),
        ("https://hooks.example.com./a", "hooks.example.com", 443, "/a"),
        ("https://a.b.partner.example/x", "a.b.partner.example", 443, "/x"),
        ("https://ports.example:8443/", "ports.example", 8443, "/"),
    ],
)
def test_hosts_a_site_allows(url: str, host: str, port: int, path: str) -> None:
    target = SITE.target(url)
    assert (target.host, target.port, target.path) == (host, port, path)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://hooks.example.com/", "only https"),
        ("ftp://hooks.example.com/", "https"),
        ("hooks.example.com", "https"),
        ("https://hooks.example.com:8443/", "not among the hosts"),
        ("https://ports.example/", "not among the hosts"),
        ("https://partner.example/", "not among the hosts"),
        ("https://evilpartner.example/", "not among the hosts"),
        ("https://hooks.example.com.evil.net/", "not among the hosts"),
        ("https://hooks.example.com@evil.net/", "user name"),
        ("https://evil.net#@hooks.example.com/", "fragment"),
        ("https://evil.net\\@hooks.example.com/", "letters"),
        ("https://evil.net\t.hooks.example.com/", "letters"),
        ("https://hooks.example.com/\r\nX: y", "letters"),
        ("https://hooks.example.com /", "letters"),
        ("https://hööks.example.com/", "letters"),
        ("https://hooks.example.com:0/", "no host"),
        ("https://hooks.example.com:99999/", "no address"),
        ("https:///path", "no host"),
        ("https://127.0.0.1/", "not among the hosts"),
        ("https://[::1]/", "not among the hosts"),
        ("https://[hooks.example.com/", "no address"),
        ("https://0x7f000001/", "not among the hosts"),
    ],
)
def test_everything_else_is_refused(url: str, says: str) -> None:
    with pytest.raises(TargetError, match=says):
        SITE.target(url)


def test_without_patterns_nobody_is_called() -> None:
    with pytest.raises(TargetError, match="callback_hosts"):
        AllowedHosts.of("").target("https://hooks.example.com/")


def test_loopback_is_for_sites_that_say_so() -> None:
    assert AllowedHosts.of("127.0.0.1:8080", loopback=True).target("http://127.0.0.1:8080/x").port == 8080
    assert AllowedHosts.of("[::1]:8080", loopback=True).target("http://[::1]:8080/x").host_header == "[::1]:8080"
    with pytest.raises(TargetError, match="this machine"):
        AllowedHosts.of("*").target("https://127.0.0.1/")
