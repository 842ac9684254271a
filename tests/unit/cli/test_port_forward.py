import pytest

from minipod.cli.options import UsageError
from minipod.cli.port_forward import ports

POD = {
    "spec": {"containers": [{}, {"ports": [{"name": "http", "containerPort": 80}, {"containerPort": 81}]}]}
}


@pytest.mark.parametrize(
    ("word", "pair"),
    [
        ("80", (80, 80)),
        ("8080:80", (8080, 80)),
        (":80", (0, 80)),
        ("0:80", (0, 80)),
        ("http", (80, 80)),
        ("8080:http", (8080, 80)),
        (":http", (0, 80)),
    ],
)
def test_ports_are_written_as_for_kubectl(word, pair):
    assert ports(word, POD) == pair


@pytest.mark.parametrize(
    "word", ["", ":", "80:", "0", "a", "80:0", "80:65536", "1:2:3", "-1:80", "80:name", "8O"]
)
def test_what_is_no_port_is_refused(word):
    with pytest.raises(UsageError, match="invalid port format"):
        ports(word, POD)
