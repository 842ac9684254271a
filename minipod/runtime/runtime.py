"""The mechanism, below the line where the Container Runtime Interface runs: sandboxes and containers.

One Runtime holds what one pod has. It does what it is told, in any order that makes sense, as often as it is told:
every request is idempotent, every id is the caller's. It knows no restart policy and no probe. A plan is saved before
it runs, so that whoever finds the pod later can undo it.
"""

import os
import time
from collections.abc import Callable, Iterable

import msgspec

from minipod.api.cri import ContainerConfig, ContainerInfo, RuntimeStatus, SandboxConfig, SandboxInfo
from minipod.api.messages import Door, NodeFacts
from minipod.errors import Conflict, MinipodError, NotFound
from minipod.kernel import cgroups, process
from minipod.plan import container as container_plan
from minipod.plan import sandbox as sandbox_plan
from minipod.plan.core import Plan, Stage, in_the_way, undo
from minipod.plan.undo import run_saved, save
from minipod.runtime import addresses
from minipod.runtime.breakpoint import Breakpoint
from minipod.runtime.fence import kill, plan_path, tools
from minipod.runtime.hosts import hosts
from minipod.runtime.loop import Loop
from minipod.runtime.netlink import Worker
from minipod.runtime.output import Output, open_log
from minipod.runtime.records import Container, Sandbox, Start
from minipod.runtime.stages import Stages

_replace = msgspec.structs.replace


class Runtime:
    """The sandboxes and containers of one pod."""

    def __init__(
        self,
        facts: NodeFacts,
        uid: str,
        loop: Loop,
        changed: Callable[[SandboxInfo | ContainerInfo], None],
        base: int,
        door: Door | None = None,
    ) -> None:
        """`base` is a descriptor of what base.make() has made."""
        self.facts, self.uid, self.loop, self.changed = facts, uid, loop, changed
        self.breakpoint, self._base = Breakpoint(loop, door), base
        self.sandboxes: dict[str, Sandbox] = {}
        self.containers: dict[str, Container] = {}
        self.worker = Worker(facts.layout)
        self.stages = Stages(self.worker, self.breakpoint)

    # --- sandboxes ----------------------------------------------------------------------------------------------

    def run_sandbox(
        self, sandbox_id: str, config: SandboxConfig, meanwhile: Callable[[], None] | None = None
    ) -> SandboxInfo:
        """Make a sandbox, or find it made. Raises PlanError and Conflict; then nothing of it is left.

        `meanwhile` is called while others are at work: what the caller has to think through anyway.
        """
        existing = self.sandboxes.get(sandbox_id)
        if existing and existing.info.state == "ready":
            return existing.info
        settled = self._settle(config)
        while True:
            sandbox = self.breakpoint.sandbox = Sandbox(sandbox_id, settled)
            try:
                self._make_sandbox(sandbox, meanwhile)
                break
            except Conflict:
                # Of several supervisors that saw the same address free, one has it now. The others look again.
                before, settled = settled, self._settle(config)
                if settled.address4 == before.address4:
                    raise
        self.sandboxes[sandbox_id] = sandbox
        if settled.address4:
            addresses.remember(self.facts.layout, settled.address4)
        return sandbox.info

    def stop_sandbox(self, sandbox_id: str) -> None:
        """Kill what runs in it, containers too, and undo all but the records. A sandbox that isn't there is stopped.

        Raises MinipodError with what could not be undone; asked again, it tries again.
        """
        sandbox = self.sandboxes.get(sandbox_id)
        if sandbox is None:
            return
        for container in self._inside(sandbox_id):
            self._kill(container_plan.cgroup(sandbox.config, container.info.id))
            self.undo(f"container-{container.info.id}")
        sandbox.info = _replace(sandbox.info, state="notready", pid=0)
        self._kill(sandbox_plan.cgroup(sandbox_id, sandbox.config))
        sandbox.close()
        self.undo(f"sandbox-{sandbox_id}")

    def remove_sandbox(self, sandbox_id: str) -> None:
        """Stop it and forget it and its containers."""
        self.stop_sandbox(sandbox_id)
        for container in self._inside(sandbox_id):
            self.remove_container(container.info.id)
        self.sandboxes.pop(sandbox_id, None)

    # --- containers ---------------------------------------------------------------------------------------------

    def create_container(self, container_id: str, sandbox_id: str, config: ContainerConfig) -> ContainerInfo:
        """Record a container. Raises NotFound without that sandbox, Conflict if the id means another container."""
        existing = self.containers.get(container_id)
        if existing:
            if existing.config != config or existing.sandbox.info.id != sandbox_id:
                raise Conflict(f"container {container_id} exists with another configuration")
            return existing.info
        sandbox = self.sandboxes.get(sandbox_id)
        if sandbox is None:
            raise NotFound("sandbox", sandbox_id)
        container = self.containers[container_id] = Container(container_id, sandbox, config)
        return container.info

    def start_container(self, container_id: str) -> ContainerInfo:
        """Run it; done when its program has been exec'ed. Raises PlanError; then it has ended as StartError, 128."""
        (result,) = self.start_containers((container_id,))
        if isinstance(result, MinipodError):
            raise result
        return result

    def start_containers(self, ids: Iterable[str]) -> list[ContainerInfo | MinipodError]:
        """Run several. They are prepared side by side and exec in the order of `ids`; one that fails stops no other."""
        starts = (self._prepared(Start(self.container(each))) for each in ids)
        # While one is stopped, nothing is there yet of those after it.
        return [self._finish(start) for start in (starts if self.breakpoint.stops else list(starts))]

    def stop_container(self, container_id: str, timeout: float, done: Callable[[], None]) -> None:
        """Its stop signal, then SIGKILL to all of it after `timeout` seconds. `done` is called when it has ended."""
        container = self.containers.get(container_id)
        if container is None or container.info.state != "running":
            done()
            return
        container.waiting.append(done)
        if timeout > 0:
            process.pidfd_kill(container.pidfd, container.config.stop_signal)
            self.loop.call_later(timeout, lambda: self.kill_container(container_id))
        else:
            self.kill_container(container_id)

    def kill_container(self, container_id: str) -> None:
        """SIGKILL to all of it, if it runs."""
        container = self.containers.get(container_id)
        if container and container.info.state == "running":
            path = container_plan.cgroup(container.sandbox.config, container_id)
            cgroups.kill(f"{self.facts.cgroups.v2}/{path}")

    def remove_container(self, container_id: str) -> None:
        """Undo and forget it, killing it if it runs."""
        container = self.containers.get(container_id)
        if container is None:
            return
        self._kill(container_plan.cgroup(container.sandbox.config, container_id))
        self.undo(f"container-{container_id}")
        del self.containers[container_id]

    # --- looking ------------------------------------------------------------------------------------------------

    def status(self) -> RuntimeStatus:
        return RuntimeStatus(
            tuple(sandbox.info for sandbox in self.sandboxes.values()),
            tuple(container.info for container in self.containers.values()),
        )

    def container(self, key: str) -> Container:
        """By id, or by name: the latest of that name. Raises NotFound."""
        if key in self.containers:
            return self.containers[key]
        for container in reversed(self.containers.values()):
            if container.config.name == key:
                return container
        raise NotFound("container", key)

    # --- how it is done -----------------------------------------------------------------------------------------

    def _settle(self, config: SandboxConfig) -> SandboxConfig:
        """Choose addresses, if the caller left them to us, and with them the text of /etc/hosts."""
        if not config.host_network and not config.address4:
            address4, address6 = addresses.free(self.facts.layout)
            config = _replace(config, address4=address4, address6=address6 if self.facts.ipv6 else "")
        return config if config.hosts else _replace(config, hosts=hosts(config))

    def _save(self, name: str, plan: Plan) -> None:
        """Write down how to undo a plan. Raises Conflict if that would undo what somebody else has made."""
        self.undo(name)  # an earlier attempt's, if not all of it could be undone then
        other = in_the_way(plan)
        if other:
            raise Conflict(
                f"{other} is there already, and this isn't its owner: remove it, or use another id"
            )
        save(plan_path(self.facts.layout, self.uid, name), undo(plan))

    def _make_sandbox(self, sandbox: Sandbox, meanwhile: Callable[[], None] | None) -> None:
        sandbox_id, config = sandbox.info.id, sandbox.config
        plan = sandbox_plan.sandbox(self.facts, sandbox_id, config)
        name = f"sandbox-{sandbox_id}"
        self._save(name, plan)
        try:
            self._run_sandbox_plan(name, plan, sandbox, meanwhile)
        except BaseException:
            self._kill(sandbox_plan.cgroup(sandbox_id, config))
            self.undo(name)
            raise

    def _run_sandbox_plan(
        self, name: str, plan: Plan, sandbox: Sandbox, meanwhile: Callable[[], None] | None
    ) -> None:
        with self.stages.network(name, plan) as network:

            def unshared(pid: int) -> None:
                network.begin(pid)
                if meanwhile:
                    meanwhile()

            for stage in plan:
                if stage.where == "child":
                    self._start_pause(name, stage, sandbox, unshared)
                elif stage.where == "netlink":
                    network.finish(sandbox.info.pid)
                else:
                    # Pins name pause's namespaces through its pid; it is our child, so that is its until we reap.
                    self.stages.here(name, stage, {"sandbox-pid": sandbox.info.pid})
        config = sandbox.config
        sandbox.info = _replace(
            sandbox.info, state="ready", address4=config.address4, address6=config.address6
        )

    def _start_pause(
        self, name: str, stage: Stage, sandbox: Sandbox, unshared: Callable[[int], None]
    ) -> None:
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        program = os.open(self.facts.pause, os.O_PATH | os.O_CLOEXEC)
        try:
            fds = {"base": self._base, "stdin": null, "stdout": null, "stderr": null, "pause": program}
            ran = self.stages.in_child(name, stage, fds, unshared)
        finally:
            os.close(null)
            os.close(program)
        sandbox.pidfd = process.pidfd_open(ran.pid)
        sandbox.info = _replace(sandbox.info, pid=ran.pid)
        self.loop.on_exit(ran.pid, lambda _: self._sandbox_died(sandbox))

    def _prepared(self, start: Start) -> Start:
        if start.container.info.state == "created":
            try:
                self._prepare(start)
            except MinipodError as error:
                start.error = error
            except OSError as error:
                start.error = MinipodError(str(error))
        return start

    def _prepare(self, start: Start) -> None:
        """Everything up to the exec, which the child is on its way to when this returns."""
        container, config, sandbox = start.container, start.container.config, start.container.sandbox
        container_id, name = container.info.id, start.name
        if sandbox.info.state != "ready":
            raise Conflict(f"sandbox {sandbox.info.id} isn't ready")
        fds = {"base": self._base, "sandbox": sandbox.pidfd}
        if config.pid_target:
            fds["target"] = self.container(config.pid_target).alive().pidfd
        plan = container_plan.container(self.facts, sandbox.info.id, sandbox.config, container_id, config)
        *first, last = plan
        self._save(name, plan)
        container.output = Output(
            self.loop, open_log(sandbox.config, config, self.facts.settings), config.stdin, config.tty
        )
        try:
            for stage in first:
                self.stages.here(name, stage)
            if sandbox.pidfd != fds["sandbox"]:
                raise MinipodError(f"sandbox {sandbox.info.id} ended while the build was stopped")
            start.stage = last
            start.child = self.stages.begin(last, {**container.output.child_fds, **fds})
        finally:
            container.output.close_child_ends()

    def _finish(self, start: Start) -> ContainerInfo | MinipodError:
        """Let it exec, or clear away what there is of it."""
        container = start.container
        if container.info.state != "created":
            return container.info
        try:
            ran = self.stages.go(start.name, start.stage, start.prepared())
        except MinipodError as error:
            return self._start_failed(start, error)
        if ran.terminal >= 0 and container.output:
            container.output.use_terminal(ran.terminal, container.config.stdin)
        container.pidfd = process.pidfd_open(ran.pid)
        self.loop.on_exit(ran.pid, lambda ended: self._container_exited(container, ended))
        container.info = _replace(container.info, state="running", pid=ran.pid, started_at=time.time())
        self.changed(container.info)
        return container.info

    def _start_failed(self, start: Start, error: MinipodError) -> MinipodError:
        container = start.container
        if isinstance(error, Conflict):  # nothing was begun
            return error
        if container.output:
            container.output.close()
            container.output = None
        try:
            self._kill(container_plan.cgroup(container.sandbox.config, container.info.id))
            self.undo(start.name)
        except MinipodError as another:
            error = MinipodError(f"{error}; and then: {another}")
        self._ended(container, 128, 0, "StartError", str(error))
        return error

    def _inside(self, sandbox_id: str) -> list[Container]:
        return [c for c in self.containers.values() if c.sandbox.info.id == sandbox_id]

    def _kill(self, cgroup: str) -> None:
        """Kill everything in a cgroup and wait until it is empty."""
        kill(f"{self.facts.cgroups.v2}/{cgroup}")

    def undo(self, name: str) -> None:
        """Undo one of the pod's saved plans. Raises MinipodError with what could not be undone."""
        errors = run_saved(plan_path(self.facts.layout, self.uid, name), tools(self.worker))
        if errors:
            raise MinipodError("could not undo: " + "; ".join(errors))

    def _sandbox_died(self, sandbox: Sandbox) -> None:
        sandbox.close()
        if sandbox.info.state != "ready":  # it was stopped, or is still being made
            if sandbox is self.breakpoint.sandbox and self.breakpoint.at:
                self.breakpoint.give_up("pause was killed")
            return
        sandbox.info = _replace(sandbox.info, state="notready", pid=0)
        self.changed(sandbox.info)

    def _container_exited(self, container: Container, ended: process.Exit) -> None:
        """Its first process ended: what else is in its cgroup (in a shared PID namespace, or by exec) ends with it."""
        path = container_plan.cgroup(container.sandbox.config, container.info.id)
        self._kill(path)
        usage = cgroups.usage(self.facts.cgroups, path)
        reason = "Completed" if ended.code == 0 else "Error"
        # Of any of its processes, whatever it exits with: containerd's rule (TaskOOM in its CRI plugin, events.go).
        if usage.oom_kills:
            reason = "OOMKilled"
        if container.output:
            container.output.close(ended.code)  # after all writers have died: nothing of the log is lost
        os.close(container.pidfd)
        self._ended(container, ended.code, ended.signal, reason, "")

    def _ended(self, container: Container, code: int, number: int, reason: str, message: str) -> None:
        now = time.time()
        container.info = _replace(
            container.info,
            state="exited",
            pid=0,
            started_at=container.info.started_at or now,
            finished_at=now,
            exit_code=code,
            signal=number,
            reason=reason,
            message=message,
        )
        self.changed(container.info)
        waiting, container.waiting = container.waiting, []
        for done in waiting:
            done()
