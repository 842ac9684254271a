import pytest

from minipod.errors import MinipodError
from minipod.node import settings


@pytest.fixture
def toml(tmp_path):
    def write(text):
        (tmp_path / "node.toml").write_text(text)
        return str(tmp_path / "node.toml")

    return write


def test_without_a_file_everything_has_its_default(tmp_path):
    assert settings.read(str(tmp_path / "none.toml"), {}) == settings.NodeToml()


def test_the_environment_wins_over_the_file(toml):
    path = toml('backoff_scale = 0.5\nlayers = "tmpfs"\n')
    read = settings.read(path, {"MINIPOD_BACKOFF_SCALE": "0.01", "MINIPOD_HOME": "/x"})
    assert (read.backoff_scale, read.layers) == (0.01, "tmpfs")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('log_max_files = "many"', "log_max_files"),
        ("log_max_files = 0", "log_max_files"),
        ('layers = "ram"', "layers"),
        ("backoff_scale = 0", "backoff_scale"),
        ("colour = 1", "colour"),
        ("colour = ", "node.toml"),
    ],
)
def test_a_wrong_setting_is_named(toml, text, key):
    with pytest.raises(MinipodError, match=rf"node\.toml: .*{key}|{key}"):
        settings.read(toml(text), {})


def test_a_wrong_variable_is_named(tmp_path):
    with pytest.raises(MinipodError, match="MINIPOD_LOG_MAX_FILES"):
        settings.read(str(tmp_path / "none.toml"), {"MINIPOD_LOG_MAX_FILES": "many"})


def test_memory_is_in_bytes():
    assert settings.memory("MemFree: 5 kB\nMemTotal:   2048 kB\n") == 2048 * 1024


def test_a_stub_resolver_is_replaced_by_what_it_asks_itself(tmp_path, monkeypatch):
    stub, real = tmp_path / "stub", tmp_path / "real"
    stub.write_text("nameserver 127.0.0.53\n")
    real.write_text("nameserver 192.0.2.53\n")
    monkeypatch.setattr(settings, "_RESOLV", str(stub))
    monkeypatch.setattr(settings, "_RESOLVED", str(real))
    assert settings.resolv_conf() == "nameserver 192.0.2.53\n"
    stub.write_text("nameserver 127.0.0.53\nnameserver 192.0.2.1\n")
    assert settings.resolv_conf() == stub.read_text()


def test_the_mtu_is_that_of_the_interface_of_the_default_route(monkeypatch):
    files = {
        "/proc/net/route": (
            "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
            "lan0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
            "wan0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        ),
        "/sys/class/net/wan0/mtu": "1400\n",
    }
    monkeypatch.setattr(settings, "_read", lambda path: files.get(path, ""))
    assert settings.default_mtu() == 1400
    files["/proc/net/route"] = "Iface\n"
    assert settings.default_mtu() == 1500
