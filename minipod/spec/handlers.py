"""What is done to a container while it lives: probes, hooks, restarts. Part of types.py, which says how to read it."""

from minipod.spec.base import Object


class ExecAction(Object, frozen=True):
    """A command run in the container, without a shell."""

    command: tuple[str, ...] = ()  # the program and its arguments


class HTTPHeader(Object, frozen=True):
    """A header of a request."""

    name: str = ""  # of the header
    value: str = ""  # its text


class HTTPGetAction(Object, frozen=True):
    """An HTTP request to the container."""

    path: str = ""  # "": /
    port: int | str = 0  # a number, or the name of one of the container's ports
    host: str = ""  # "": the pod's address
    scheme: str = ""  # HTTP or HTTPS
    http_headers: tuple[HTTPHeader, ...] = ()  # besides those of kube-probe


class TCPSocketAction(Object, frozen=True):
    """A TCP connection to the container."""

    port: int | str = 0  # a number, or the name of one of the container's ports
    host: str = ""  # "": the pod's address


class GRPCAction(Object, frozen=True):
    """A gRPC health check (grpc.health.v1)."""

    port: int = 0  # 1 to 65535
    service: str = ""  # the service asked for; "": the server as a whole


class SleepAction(Object, frozen=True):
    """A pause."""

    seconds: int = 0  # its length


class Probe(Object, frozen=True):
    """A question asked again and again; exactly one of the first four is set."""

    exec: ExecAction | None = None  # the command exits 0
    http_get: HTTPGetAction | None = None  # the answer is 200 to 399
    tcp_socket: TCPSocketAction | None = None  # the connection is accepted
    grpc: GRPCAction | None = None  # the service is SERVING
    initial_delay_seconds: int = 0  # from the start of the container to the first question
    timeout_seconds: int = 0  # for an answer; 1 by default
    period_seconds: int = 0  # from one question to the next; 10 by default
    success_threshold: int = 0  # successes in a row that count; 1 by default
    failure_threshold: int = 0  # failures in a row that count; 3 by default
    termination_grace_period_seconds: int | None = None  # instead of the pod's, when it kills


class LifecycleHandler(Object, frozen=True):
    """One action of a hook; exactly one is set."""

    exec: ExecAction | None = None  # a command in the container
    http_get: HTTPGetAction | None = None  # a request to the container
    sleep: SleepAction | None = None  # a pause


class Lifecycle(Object, frozen=True):
    """What is done after a container's start and before its end."""

    post_start: LifecycleHandler | None = None  # right after the start
    pre_stop: LifecycleHandler | None = None  # before the stop signal
    stop_signal: str = ""  # instead of the image's, e.g. SIGUSR1


class ContainerRestartRuleOnExitCodes(Object, frozen=True):
    """A set of exit codes."""

    operator: str = ""  # In or NotIn
    values: tuple[int, ...] = ()  # the codes


class ContainerRestartRule(Object, frozen=True):
    """When a container is restarted whatever its policy says; the first rule that fits holds."""

    action: str = ""  # Restart, or RestartAllContainers
    exit_codes: ContainerRestartRuleOnExitCodes | None = None  # after which exit codes
