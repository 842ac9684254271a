"""Image references, read as every container tool reads them. Pure.

    busybox                              docker.io/library/busybox
    grafana/loki:2.9                     docker.io/grafana/loki  tag 2.9
    localhost:5000/tools@sha256:…        localhost:5000/tools    digest sha256:…

The grammar is the OCI Distribution Specification's ("Pulling manifests": <name>, <reference>) and, for the domain and
the defaults, that of github.com/distribution/reference (regexp.go, normalize.go), which containerd and the kubelet use.
"""

import re

import msgspec

from minipod.errors import InvalidImageName

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_REFERENCE = re.compile(
    rf"(?P<path>{_COMPONENT}(?:/{_COMPONENT})*)(?::(?P<tag>\w[\w.-]{{0,127}}))?(?:@(?P<digest>[^@]+))?",
    re.ASCII,
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")
_BARE_ID = re.compile(r"[0-9a-f]{64}")


class Reference(msgspec.Struct, frozen=True):
    """A reference taken apart. `tag` and `digest` are empty where the text gave none."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """The repository: docker.io/library/busybox."""
        return f"{self.domain}/{self.path}"

    @property
    def canonical(self) -> str:
        """The image's one spelling: by digest if there is one, else by tag, and without either by the tag latest."""
        if self.digest:
            return f"{self.name}@{self.digest}"
        return f"{self.name}:{self.tag or 'latest'}"


def parse(text: str) -> Reference:
    """Read a reference as a manifest or a person writes it; raises InvalidImageName."""
    if _BARE_ID.fullmatch(text):
        raise _invalid(text, "64 hexadecimal digits are an image id, not a name")
    domain, rest = _split_domain(text)
    if not _DOMAIN.fullmatch(domain):
        raise _invalid(text, f'"{domain}" is not a host or host:port')
    match = _REFERENCE.fullmatch(rest)
    if not match:
        if rest != rest.lower() and _REFERENCE.fullmatch(rest.lower()):
            raise _invalid(text, "repository name must be lowercase")
        raise _invalid(text, "write [host[:port]/]name[:tag][@digest]")
    path, tag, digest = match["path"], match["tag"] or "", match["digest"] or ""
    if digest and not _DIGEST.fullmatch(digest):
        raise _invalid(text, f'"{digest}" is not a sha256, sha384 or sha512 digest')
    if len(path) > 255:
        raise _invalid(text, "repository name must not be more than 255 characters")
    return Reference(domain, path, tag, digest)


def _split_domain(text: str) -> tuple[str, str]:
    """The first component is a host if it looks like one (a dot, a port, an upper-case letter, localhost)."""
    domain, slash, rest = text.partition("/")
    if not slash or not (domain == "localhost" or set(domain) & set(".:") or domain != domain.lower()):
        domain, rest = "docker.io", text
    elif domain == "index.docker.io":
        domain = "docker.io"
    if domain == "docker.io" and "/" not in rest:
        rest = f"library/{rest}"
    return domain, rest


def _invalid(text: str, why: str) -> InvalidImageName:
    return InvalidImageName(f'couldn\'t parse image name "{text}": invalid reference format: {why}')
