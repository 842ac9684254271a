"""A plan as a script: what a shell can read, whatever the manifest says."""

import subprocess

import pytest

from minipod.plan import shell, undo
from minipod.plan.core import Op, Stage
from minipod.plan.ops import host, mounts, namespaces, process
from minipod.plan.words import PIDS, variable
from minipod.spec.types import Container, Pod, PodSpec

POD = Pod(spec=PodSpec(containers=(Container(name="app", image="x"),)))
ARGV = ("sh", "-c", "it's\nINSIDE\nINSIDE_\nBEFORE\n$HOME")


def container(*ops: Op, new_pid: bool = True, kinds: tuple[str, ...] = ("net", "ipc")) -> Stage:
    entering = (namespaces.Join("sandbox", kinds), namespaces.Unshare(("mnt", "cgroup")))
    last = (process.ChangeDirectory("/a b"), process.Exec(ARGV, ("A=b c",)))
    return Stage("container/app", "child", (*entering, *ops, *last), cgroup="/c/it's", new_pid=new_pid)


def rendered(stage: Stage, to_the_end: bool = False) -> str:
    return "\n".join(shell.stage_lines(POD, stage, to_the_end))


def texts(lines: str) -> list[str]:
    """What start() would get on descriptors 3 and 4."""
    functions = 'PAUSE=1\nstart() { cat <&3; printf "\\0"; cat <&4; }\nrun() { start; }\n'
    done = subprocess.run(["sh", "-eu"], input=functions + lines, text=True, capture_output=True, check=True)
    return done.stdout.split("\0")


def test_both_texts_of_a_process_are_commands():
    for text in texts(rendered(container())):
        assert subprocess.run(["sh", "-n"], input=text, text=True, check=False).returncode == 0


def test_an_argument_that_looks_like_the_end_of_a_text_is_not_its_end():
    _, inside = texts(rendered(container()))
    assert "'it'\\''s\nINSIDE\nINSIDE_\nBEFORE\n$HOME' 9>&-" in inside


def test_what_comes_before_the_namespaces_is_done_first():
    before, inside = texts(rendered(container(mounts.RemountRootReadonly())))
    assert before.startswith("echo $$ >'/c/it'\\''s/cgroup.procs'\n")
    assert 'exec nsenter --target "$PAUSE" --net --ipc' in before
    assert "mount -o remount,bind,ro none /" in inside


@pytest.mark.parametrize(
    ("stage", "first"),
    [
        (container(), "start app unshare --pid 3<<"),
        (container(new_pid=False), "start app 3<<"),
        (
            container(namespaces.Fork(), new_pid=False, kinds=("net", "pid")),
            'start app nsenter --target "$PAUSE" --pid --no-fork 3<<',
        ),
    ],
)
def test_a_process_is_forked_by_who_is_in_the_right_pid_namespace(stage, first):
    assert rendered(stage).startswith(first)
    assert "--pid" not in texts(rendered(stage))[0]


def test_an_init_container_is_run_to_its_end():
    assert rendered(container(), to_the_end=True).startswith("run app ")


def test_one_command_at_last_has_everything_a_process_gives_up():
    privileges = (
        process.NoNewPrivileges(),
        process.LimitCapabilities(("KILL", "CHOWN")),
        process.SetUser(5, 6, (7, 8)),
    )
    *_, inside = texts(rendered(container(*privileges)))
    assert "./setpriv --inh-caps=-all --no-new-privs --bounding-set -all,+kill,+chown" in inside
    assert " --reuid 5 --regid 6 --groups=7,8 \\\n    $HOST ./env -i --chdir='/a b' 'A=b c' sh -c" in inside


def test_after_the_root_has_changed_the_hosts_tools_are_taken():
    *_, inside = texts(rendered(container(process.Stdio(), mounts.PivotRoot(), mounts.Mask("/proc/keys"))))
    order = [
        inside.index(text) for text in ('exec </dev/null >"$LOG"', "pivot_root", "mount() {", "/proc/keys")
    ]
    assert order == sorted(order)


def test_a_terminal_is_a_comment_and_its_output_goes_to_the_log():
    *_, inside = texts(rendered(container(mounts.PivotRoot(), process.Terminal())))
    assert 'exec </dev/null >"$LOG" 2>&1\npivot_root' in inside
    assert "\n# a terminal" in inside


def test_what_a_user_other_than_root_writes_to_is_its_own():
    assert process.Stdio(5).explain() == 'exec </dev/null >"$LOG" 2>&1; chown 5 "$LOG"'


def test_a_limit_that_not_every_kernel_has_is_set_where_it_is():
    op = host.SetLimit("/c", "memory.swap.max", "0")
    assert shell.command(op) == "[ ! -e /c/memory.swap.max ] || echo 0 >/c/memory.swap.max"


def test_a_stage_is_described():
    stage = container(namespaces.Join("target", ("pid",)))
    assert shell.described(stage) == (
        "in a child, born in /c/it's; joins net, ipc of the sandbox and pid of the target; makes mnt, cgroup, pid"
    )


def test_what_people_read_has_variables_by_name():
    assert shell.shown(f"{variable('UID')}/{PIDS['sandbox']}") == "$UID/$PAUSE"


@pytest.mark.parametrize("word", undo.AnyUndo.__args__)
def test_every_word_of_an_undo_list_has_a_command_that_a_missing_object_does_not_disturb(word, tmp_path):
    missing = f"{tmp_path}/it's not there"
    command = shell.undone(word(missing, "owner") if word is undo.Unclaim else word(missing))
    script = f'set -eu\nremove_cgroup() {{ [ ! -e "$1" ]; }}\n{command}'
    done = subprocess.run(["sh"], input=script, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_claim_of_somebody_else_is_left(tmp_path):
    (tmp_path / "10.0.0.2").symlink_to("another")
    command = shell.undone(undo.Unclaim(f"{tmp_path}/10.0.0.2", "me"))
    subprocess.run(["sh", "-eu", "-c", command], check=True)
    assert (tmp_path / "10.0.0.2").is_symlink()
