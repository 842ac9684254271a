"""The lifecycle at work: asks lifecycle.decide() what to do, writes it into the journal, and tells the mechanism.

    something happened ──▶ fact ──▶ journal ──▶ decide() ──▶ fact ──▶ journal ──▶ runtime ──▶ something happened

It stands above the CRI line: everything it does could be done by a kubelet instead.
"""

import contextlib
import os
import sys
import time
from collections.abc import Callable

import msgspec

from minipod.api.cri import ContainerInfo, SandboxInfo
from minipod.api.messages import Launch
from minipod.errors import KernelError, MinipodError, NotFound
from minipod.plan import container as container_plan
from minipod.plan import pod as pod_plan
from minipod.plan.core import undo
from minipod.plan.undo import save
from minipod.runtime.fence import plan_path
from minipod.runtime.loop import Loop
from minipod.runtime.runtime import Runtime
from minipod.spec import qos
from minipod.spec.types import Container, EphemeralContainer, Pod, PodStatus
from minipod.supervisor import ahead, config, dns, journal, lifecycle, observed, termination
from minipod.supervisor.events import Recorder, tell_backoff
from minipod.supervisor.hooks import Hooks
from minipod.supervisor.prober import Prober
from minipod.supervisor.status import status
from minipod.supervisor.volumes import empty_dirs, prepare_host_paths
from minipod.supervisor.wanted import containers_of, should_restart


class Engine:
    """One pod's life, from its launch until it is removed."""

    def __init__(
        self, launch: Launch, runtime: Runtime, loop: Loop, published: Callable[[PodStatus, int], None]
    ) -> None:
        self.pod, self.facts = launch.pod, launch.facts
        self.runtime, self.loop, self.published = runtime, loop, published
        self.removed = False  # the pod is gone
        self.left = False  # the pod isn't, but this supervisor's work is done
        self.journal = journal.Journal(journal.path_of(self.facts.layout.pod_lib(self.pod.metadata.uid)))
        self.events = Recorder(
            self.pod, self.facts.node_name, lambda: self.journal.observed.events, self.record
        )
        self.hooks = Hooks(runtime, self.events, self._pod_ip, self._found)
        self.prober = Prober(self.pod, runtime, self.events, self._pod_ip, self._found)
        self.runtime.breakpoint.stopped = self._stopped
        self._foreseen: ahead.Foreseen = {}
        self._stepping = False
        self._last: PodStatus | None = None
        self._wake_at: float | None = None
        self.record(observed.SupervisorBegan(at=time.time(), lost=launch.lost))

    # --- what happens -------------------------------------------------------------------------------------------

    def begin(self) -> None:
        meta = self.pod.metadata
        if meta.deletion_timestamp and not self.journal.observed.deleted_at:
            # Deleted while it had no supervisor: nothing of it is started any more.
            self.record(
                observed.DeletionRequested(at=time.time(), grace=meta.deletion_grace_period_seconds or 0)
            )
        self.step()

    def update(self, pod: Pod) -> None:
        """The pod's object has changed. What runs stays as it was made."""
        self.pod = pod
        self.step()

    def shut_down(self) -> None:
        """Stop the pod's containers, each with its grace, and end; the next supervisor starts them again."""
        self.record(observed.ShutdownRequested(at=time.time()))
        self.runtime.breakpoint.give_up("the pod is to end", for_good=True)
        self.step()

    def evict(self, message: str) -> None:
        """The pod takes up more than it may: it has failed."""
        known = self.journal.observed
        if not (known.deleted_at or known.terminal or known.shutdown_at):
            self.events.warning("Evicted", message)
            self.record(
                observed.PodFinished(at=time.time(), phase="Failed", reason="Evicted", message=message)
            )
            self.step()

    def changed(self, info: SandboxInfo | ContainerInfo) -> None:
        """The mechanism's news. While it carries out a request of ours, the request's own end says the same."""
        now = time.time()
        if isinstance(info, ContainerInfo):
            if info.state == "exited":
                self.hooks.ended(info.id)
                info = self._with_message(info)
            self.record(observed.ContainerIs(at=now, container=info))
            if info.state == "exited":
                self._tell_end(info.name)
        else:
            self.events.normal("SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
            self.record(observed.SandboxIs(at=now, sandbox=info))
        self.step()

    def delete(self, grace: float | None) -> None:
        if grace is None:
            grace = float(lifecycle.grace_of(self.pod))
        self.record(observed.DeletionRequested(at=time.time(), grace=grace))
        self.runtime.breakpoint.give_up("the pod is to be deleted", for_good=True)
        self.step()

    def _tell_end(self, name: str) -> None:
        """Of a container that will be back, before that is decided: how it ended may be history a moment later."""
        known = self.journal.observed
        if should_restart(self.pod, self._spec(name), known.known(name)):
            self.publish(ended=name)

    def _stopped(self) -> None:
        """The build waits at a breakpoint, and with it all that is decided here. What happens is told all the same."""
        self.events.normal("Stopped", f"Stopped before {self.runtime.breakpoint.place}")
        self._tell()

    def _tell(self) -> None:
        self.events.flush()
        self.publish()

    def _found(self, fact: observed.ProbeIs | observed.PostStarted | observed.StartFailed) -> None:
        """A probe or a hook has come to something."""
        self.record(fact)
        self.step()

    def _with_message(self, info: ContainerInfo) -> ContainerInfo:
        """What has ended, with its termination message."""
        try:
            sandbox = self.runtime.container(info.id).sandbox.config
        except NotFound:  # it ended with its sandbox
            return info
        spec = self._spec(info.name)
        path = container_plan.termination_log(self.facts, sandbox, info.id)
        log = f"{sandbox.log_directory}/{spec.name}/{info.attempt}.log"
        fallback = spec.termination_message_policy == "FallbackToLogsOnError"
        text = termination.message(path, log, fallback, info.exit_code)
        return msgspec.structs.replace(info, message=text) if text else info

    def _pod_ip(self) -> str:
        """Where the pod's probes are sent."""
        sandbox = self.journal.observed.sandbox
        if self.pod.spec.host_network or sandbox is None:
            return self.facts.host_ip
        return sandbox.address4 or sandbox.address6

    def _spec(self, name: str) -> Container:
        return next(each for each in containers_of(self.pod) if each.name == name)

    @property
    def _over(self) -> bool:
        return self.removed or self.left

    # --- what is done about it ----------------------------------------------------------------------------------

    def step(self) -> None:
        """Do what is to be done now, until nothing is. Called from within, it leaves that to the outer call."""
        if self._stepping or self._over:
            if self.runtime.breakpoint.at:
                self._tell()
            return
        self._stepping = self.events.held = True
        try:
            while not self._over:
                now = time.time()
                scale = self.facts.settings.backoff_scale
                decision = lifecycle.decide(self.pod, self.journal.observed, now, scale)
                if not decision.actions:
                    self._wake(decision.wake_at, now)
                    break
                starts = [each for each in decision.actions if isinstance(each, lifecycle.StartContainer)]
                if starts:
                    self._start(starts)
                for action in decision.actions:
                    self._do(action)
        finally:
            self._stepping = self.events.held = False
            self.events.flush()
        if not self._over:
            self.prober.follow(self.journal.observed)
        self.publish()

    def record(self, fact: observed.AnyFact) -> None:
        """Write a fact down, then believe it. On a full disk it is only believed: the pod goes on, and only a
        supervisor that dies meanwhile takes the fact with it."""
        try:
            self.journal.append(fact)
        except KernelError as error:
            self.journal.observed = observed.apply(self.journal.observed, fact)
            print(f"pod {self.pod.metadata.uid}: {error}", file=sys.stderr, flush=True)

    def publish(self, ended: str = "") -> None:
        """Tell the pod's status, if it has changed. `ended`: see status()."""
        known = self.journal.observed
        now = status(
            self.pod,
            known,
            time.time(),
            host_ip=self.facts.host_ip,
            scale=self.facts.settings.backoff_scale,
            previous=self._last,
            ended=ended,
        )
        if now.phase != "Pending":
            self.runtime.breakpoint.built()
        if now != self._last:
            tell_backoff(self.events, self.pod, self._last, now)
            self._last = now
            self.published(now, known.sequence)

    def _wake(self, at: float | None, now: float) -> None:
        self._wake_at = at
        if at is not None:
            self.loop.call_later(max(0.0, at - now), lambda: self.step() if self._wake_at == at else None)

    def _do(self, action: lifecycle.AnyAction) -> None:
        match action:
            case lifecycle.RunSandbox():
                self._run_sandbox(action.attempt)
            case lifecycle.StartContainer():
                pass  # all at once, in step()
            case lifecycle.StopContainer():
                self._stop(action)
            case lifecycle.StopSandbox():
                self._stop_sandbox(action.id)
            case lifecycle.FinishPod():
                if action.reason:
                    self.events.normal(action.reason, action.message)
                self.record(
                    observed.PodFinished(
                        at=time.time(), phase=action.phase, reason=action.reason, message=action.message
                    )
                )
            case lifecycle.RestartAll():
                self.record(observed.AllRestarting(at=time.time()))
                self.publish()
            case lifecycle.StartOver():
                self.record(observed.StartedOver(at=time.time()))
            case lifecycle.Leave():
                self.left = True
                self.loop.stop()
            case lifecycle.RemovePod():
                self._remove()

    def _run_sandbox(self, attempt: int) -> None:
        sandbox_id = new_id()
        self.record(observed.SandboxStarting(at=time.time(), id=sandbox_id, attempt=attempt))
        try:
            prepare_host_paths(self.pod)
            self._make_pod()
            wanted = config.sandbox(self.pod, self.facts, attempt)
            for text in dns.omitted(self.pod, self.facts):
                self.events.warning("DNSConfigForming", text)
            info = self.runtime.run_sandbox(sandbox_id, wanted, self._look_ahead)
        except (MinipodError, OSError) as error:
            text = str(error)
            if text.startswith("MountVolume"):
                self.events.warning("FailedMount", text)
            else:
                self.events.warning("FailedCreatePodSandBox", f"Failed to create pod sandbox: {text}")
            self.record(observed.SandboxFailed(at=time.time(), id=sandbox_id, message=text))
            return
        self.record(observed.SandboxIs(at=time.time(), sandbox=info))

    def _look_ahead(self) -> None:
        self._foreseen = ahead.foresee(self.pod, self.facts, self.journal.observed, time.time())

    def _make_pod(self) -> None:
        """The pod's cgroup and volumes: once, however many sandboxes and supervisors it has.

        A supervisor that died half-way has left an undo list but no mark that all of it is there.
        """
        layout, uid = self.facts.layout, self.pod.metadata.uid
        made = f"{layout.pod_run(uid)}/made"
        if os.path.exists(made):
            return
        self.runtime.undo("pod")
        plan = pod_plan.pod(
            self.facts,
            uid,
            config.cgroup(self.pod, self.facts),
            config.resources(qos.pod_amounts(self.pod)),
            empty_dirs(self.pod, self.facts),
        )
        save(plan_path(layout, uid, "pod"), undo(plan))
        for stage in plan:
            self.runtime.stages.here("pod", stage)
        os.close(os.open(made, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))

    def _start(self, actions: list[lifecycle.StartContainer]) -> None:
        """Start containers: created one by one, prepared side by side, exec'ed in their order."""
        sandbox = self.journal.observed.sandbox
        assert sandbox is not None, "decide() starts containers in a sandbox"
        created: dict[str, Container] = {}
        for action in actions:
            container_id, spec = new_id(), self._spec(action.name)
            self.record(
                observed.ContainerStarting(
                    at=time.time(),
                    name=action.name,
                    id=container_id,
                    attempt=action.attempt,
                    backoff=action.backoff,
                )
            )
            try:
                self._create(spec, container_id, sandbox.id, action.attempt)
                created[container_id] = spec
            except config.StartError as error:
                self._start_failed(spec, error.reason, str(error))
            except (MinipodError, OSError) as error:
                self._start_failed(spec, "CreateContainerError", str(error))
        # Says ContainerIs by itself, whatever comes of each.
        results = self.runtime.start_containers(created)
        for (container_id, spec), result in zip(created.items(), results, strict=True):
            if isinstance(result, MinipodError):
                self._start_failed(spec, "RunContainerError", str(result))
                continue
            self.events.normal("Started", f"Started container {spec.name}", spec)
            self.hooks.started(spec, container_id)
        self.publish()

    def _create(self, spec: Container, container_id: str, sandbox_id: str, attempt: int) -> None:
        wanted = self._foreseen.pop((spec.name, attempt), None) or config.container(
            self.pod, spec, self.facts, attempt
        )
        if isinstance(spec, EphemeralContainer) and spec.target_container_name:
            wanted = msgspec.structs.replace(wanted, pid_target=self._target(spec.target_container_name))
        self.events.normal("Pulled", f'Container image "{spec.image}" already present on machine', spec)
        self._forget_attempts(spec.name)
        self.runtime.create_container(container_id, sandbox_id, wanted)
        self.events.normal("Created", f"Created container: {spec.name}", spec)

    def _target(self, name: str) -> str:
        """The id of the container whose PID namespace an ephemeral one joins."""
        known = self.journal.observed.known(name)
        if known.latest is None or not known.running:
            raise config.StartError("CreateContainerConfigError", f"unable to find target container {name}")
        return known.latest.id

    def _forget_attempts(self, name: str) -> None:
        """An ended container is kept until its next start, for whoever wants to look at what it has written."""
        for info in self.runtime.status().containers:
            if info.name == name:
                self.runtime.remove_container(info.id)

    def _start_failed(self, spec: Container, reason: str, message: str) -> None:
        if reason in lifecycle.PULL_FAILURES:
            self.events.warning("Failed", f'Failed to pull image "{spec.image}": {message}', spec)
            self.events.warning("Failed", f"Error: {reason}", spec)
        else:
            self.events.warning("Failed", f"Error: {message}", spec)
        self.record(observed.StartFailed(at=time.time(), name=spec.name, reason=reason, message=message))

    def _stop(self, action: lifecycle.StopContainer) -> None:
        now, spec = time.time(), self._spec(action.name)
        if action.message:
            self.events.normal("Killing", action.message, spec)
        stop_by = now + action.grace  # a moment later than was decided: see lifecycle.SAME_END
        self.record(
            observed.ContainerStopping(
                at=now, name=action.name, id=action.id, stop_by=stop_by, alone=action.alone
            )
        )
        known = self.journal.observed
        run_hook = known.grace > 0 if known.deleted_at else not known.restarting
        self.hooks.stop(spec, action.id, action.grace, run_hook)

    def _stop_sandbox(self, sandbox_id: str) -> None:
        self.record(observed.SandboxStopping(at=time.time(), id=sandbox_id))
        try:
            self.runtime.remove_sandbox(sandbox_id)
        except MinipodError as error:
            self.events.warning("FailedKillPod", f"error killing pod: {error}")
            self.record(observed.SandboxFailed(at=time.time(), id=sandbox_id, message=str(error)))
            return
        self.record(observed.SandboxStopped(at=time.time(), id=sandbox_id))

    def _remove(self) -> None:
        """Give back the pod's own things. What can't be is left to the node's fence, which comes anyway."""
        with contextlib.suppress(MinipodError):
            self.runtime.undo("pod")
        self.removed = True
        self.loop.stop()


def new_id() -> str:
    """64 hexadecimal digits, as every container runtime's."""
    return os.urandom(32).hex()
