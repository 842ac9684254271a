"""Which DNS policies and configurations are valid (part of validate.py, which says how to read it)."""

import re
import socket

import msgspec

from minipod.spec.problems import Problems, choice, invalid
from minipod.spec.types import PodSpec

MAX_NAMESERVERS, MAX_SEARCHES, MAX_SEARCH_CHARACTERS = 3, 32, 2048
MAX_DOMAIN = 253  # characters
_POLICIES = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
_LABEL = r"_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_DOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_is_domain = re.compile(_DOMAIN).fullmatch
_DOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must"
    f" start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_DOMAIN}')"
)


def dns(spec: PodSpec) -> Problems:
    """Everything that is wrong with spec.dnsPolicy and spec.dnsConfig (validateDNSPolicy, validatePodDNSConfig)."""
    path, config = "spec.dnsConfig", spec.dns_config
    yield from choice("spec.dnsPolicy", spec.dns_policy, _POLICIES)
    if config is None:
        if spec.dns_policy == "None":
            yield path, "Required value: must provide `dnsConfig` when `dnsPolicy` is None"
        return
    if spec.dns_policy == "None" and not config.nameservers:
        why = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        yield f"{path}.nameservers", f"Required value: {why}"
    if len(config.nameservers) > MAX_NAMESERVERS:
        why = f"must not have more than {MAX_NAMESERVERS} nameservers"
        yield _too_many(f"{path}.nameservers", config.nameservers, why)
    for index, server in enumerate(config.nameservers):
        if not _is_address(server):
            why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
            yield invalid(f"{path}.nameservers[{index}]", server, why)
    yield from _searches(f"{path}.searches", config.searches)
    for index, option in enumerate(config.options):
        if not option.name:
            yield f"{path}.options[{index}]", "Required value: must not be empty"


def _searches(path: str, searches: tuple[str, ...]) -> Problems:
    if len(searches) > MAX_SEARCHES:
        yield _too_many(path, searches, f"must not have more than {MAX_SEARCHES} search paths")
    if len(" ".join(searches)) > MAX_SEARCH_CHARACTERS:
        why = f"must not have more than {MAX_SEARCH_CHARACTERS} characters (including spaces) in the search list"
        yield _too_many(path, searches, why)
    for index, search in enumerate(searches):
        domain = search.removesuffix(".")
        if len(domain) > MAX_DOMAIN:
            yield invalid(f"{path}[{index}]", domain, f"must be no more than {MAX_DOMAIN} bytes")
        if search != "." and not _is_domain(domain):
            yield invalid(f"{path}[{index}]", domain, _DOMAIN_TEXT)


def _too_many(path: str, values: tuple[str, ...], why: str) -> tuple[str, str]:
    """A list as Kubernetes shows it: as JSON."""
    return path, f"Invalid value: {msgspec.json.encode(values).decode()}: {why}"


def _is_address(text: str) -> bool:
    """Of IPv4 or IPv6, as inet_pton(3) reads it."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, text)
            return True
        except (OSError, ValueError):
            continue
    return False
