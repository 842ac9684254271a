"""A pod's /etc/resolv.conf: the kubelet's part of name resolution (pkg/kubelet/network/dns/dns.go, GetPodDNS). Pure.

There is no cluster DNS here, and a kubelet that knows of none takes ClusterFirst for Default: the node's own servers.
"""

from collections.abc import Iterator

import msgspec

from minipod.api.messages import NodeFacts
from minipod.spec.types import Pod, PodDNSConfigOption
from minipod.spec.validate_dns import MAX_DOMAIN, MAX_NAMESERVERS, MAX_SEARCH_CHARACTERS, MAX_SEARCHES


class Resolver(msgspec.Struct, frozen=True):
    """What a resolv.conf(5) says."""

    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()  # name, or name:value

    def __str__(self) -> str:
        """In the order in which container runtimes write it."""
        lines = [f"nameserver {server}\n" for server in self.servers]
        if self.searches:
            lines.insert(0, f"search {' '.join(self.searches)}\n")
        if self.options:
            lines.append(f"options {' '.join(self.options)}\n")
        return "".join(lines)


def resolv_conf(pod: Pod, facts: NodeFacts) -> str:
    """The text of the file."""
    return str(_fitting(_wanted(pod, facts)))


def omitted(pod: Pod, facts: NodeFacts) -> Iterator[str]:
    """What is to be told of a configuration that is more than resolvers can take in."""
    wanted = _wanted(pod, facts)
    fitting = _fitting(wanted)
    for limits, what, line, asked, applied in (
        ("Nameserver", "nameservers", "nameserver line", wanted.servers, fitting.servers),
        ("Search Line", "search paths", "search line", wanted.searches, fitting.searches),
    ):
        if asked != applied:
            yield (
                f"{limits} limits were exceeded, some {what} have been omitted, "
                f"the applied {line} is: {' '.join(applied)}"
            )


def parse(text: str) -> Resolver:
    """Read a resolv.conf(5); of several search lines the last counts. What else is there, kubelets ignore, too."""
    servers: list[str] = []
    searches: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        match line.split():
            case ["nameserver", server, *_]:
                servers.append(server)
            case ["search", *domains]:
                searches = [domain.removesuffix(".") for domain in domains if domain != "."]
            case ["options", *found]:
                options += found
    return Resolver(tuple(servers), tuple(searches), _merged(options, ()))


def _wanted(pod: Pod, facts: NodeFacts) -> Resolver:
    base = Resolver() if pod.spec.dns_policy == "None" else parse(facts.dns)
    own = pod.spec.dns_config
    if own is None:
        return base
    return Resolver(
        servers=tuple(dict.fromkeys((*base.servers, *own.nameservers))),
        searches=tuple(dict.fromkeys((*base.searches, *own.searches))),
        options=_merged(base.options, own.options),
    )


def _merged(known: list[str] | tuple[str, ...], added: tuple[PodDNSConfigOption, ...]) -> tuple[str, ...]:
    """One of each name: the last."""
    values = dict(option.partition(":")[::2] for option in known)
    values |= {option.name: option.value for option in added}
    return tuple(f"{name}:{value}" if value else name for name, value in values.items())


def _fitting(wanted: Resolver) -> Resolver:
    """No more than the C library's resolver can take in."""
    searches = [domain for domain in wanted.searches[:MAX_SEARCHES] if len(domain) <= MAX_DOMAIN]
    while len(" ".join(searches)) > MAX_SEARCH_CHARACTERS:
        searches.pop()
    return Resolver(wanted.servers[:MAX_NAMESERVERS], tuple(searches), wanted.options)
