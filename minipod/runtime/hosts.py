"""Names and addresses in /etc/hosts: the pod's file, as the kubelet manages it (pkg/kubelet/kubelet_pods.go,
managedHostsFileContent), and what a name means by the node's. Pure."""

from minipod.api.cri import SandboxConfig

_HEAD = """# Kubernetes-managed hosts file.
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
"""


def hosts(config: SandboxConfig) -> str:
    """With a line for each address of the pod."""
    addresses = [address for address in (config.address4, config.address6) if address]
    return _HEAD + "".join(f"{address}\t{config.hostname}\n" for address in addresses)


def address_of(name: str, hosts: str) -> str:
    """The first address that a text in the form of hosts(5) has for `name`; "" if there is none."""
    for line in hosts.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        if name.lower() in (each.lower() for each in names):
            return address
    return ""
