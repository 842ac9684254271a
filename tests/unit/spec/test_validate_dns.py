"""Which DNS policies and configurations a pod can have."""

import pytest

from minipod.errors import Invalid
from minipod.spec.validate import manifest


def wrong(**spec):
    """Every problem of a pod with this in its specification."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web"},
        "spec": {"containers": [{"name": "app", "image": "busybox"}], **spec},
    }
    try:
        manifest(pod)
    except Invalid as error:
        return error.problems
    return []


def config(**fields):
    return {"dnsConfig": fields}


DOMAIN = ".".join(("a" * 63, "b" * 63, "c" * 63, "d" * 61))  # 253 characters


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"dnsPolicy": "ClusterFirst"},
        {"dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": True},
        {"dnsPolicy": "Default"},
        {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["192.0.2.1", "2001:db8::1", "192.0.2.2"]}},
        config(
            searches=["ns1.svc.cluster.local", "under_score.example", "_sip.example", "dot.", ".", DOMAIN]
        ),
        config(searches=["a"] * 32),
        config(options=[{"name": "ndots", "value": "2"}, {"name": "edns0"}]),
    ],
)
def test_what_kubernetes_accepts_is_accepted(spec):
    assert wrong(**spec) == []


@pytest.mark.parametrize(
    ("spec", "path", "message"),
    [
        (
            {"dnsPolicy": "Mine"},
            "dnsPolicy",
            'Unsupported value: "Mine": supported values: '
            '"ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"',
        ),
        (
            {"dnsPolicy": "None"},
            "dnsConfig",
            "Required value: must provide `dnsConfig` when `dnsPolicy` is None",
        ),
        (
            {"dnsPolicy": "None", "dnsConfig": {"searches": ["a"]}},
            "dnsConfig.nameservers",
            "Required value: must provide at least one DNS nameserver when `dnsPolicy` is None",
        ),
        (
            config(nameservers=["192.0.2.1"] * 4),
            "dnsConfig.nameservers",
            'Invalid value: ["192.0.2.1","192.0.2.1","192.0.2.1","192.0.2.1"]: '
            "must not have more than 3 nameservers",
        ),
        (
            config(nameservers=["192.0.2.1", "dns.example"]),
            "dnsConfig.nameservers[1]",
            'Invalid value: "dns.example": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
        ),
        (config(options=[{"value": "2"}]), "dnsConfig.options[0]", "Required value: must not be empty"),
        (
            config(searches=["a" + DOMAIN]),
            "dnsConfig.searches[0]",
            f'Invalid value: "a{DOMAIN}": must be no more than 253 bytes',
        ),
    ],
)
def test_what_kubernetes_refuses_is_refused_in_its_words(spec, path, message):
    assert wrong(**spec) == [(f"spec.{path}", message)]


@pytest.mark.parametrize(
    ("searches", "words"),
    [
        (["a"] * 33, "must not have more than 32 search paths"),
        ([DOMAIN] * 9, "must not have more than 2048 characters (including spaces) in the search list"),
        (["a.b", "Upper"], "must consist of lower case alphanumeric characters, '_', '-' or '.'"),
        (["a..b"], "regex used for validation is"),
    ],
)
def test_a_search_list_has_limits(searches, words):
    ((_, message),) = wrong(**config(searches=searches))
    assert words in message
