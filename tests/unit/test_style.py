"""The rules of the house that a tool can check: linters, types, layers, sizes."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = sorted((ROOT / "minipod").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

# What may be imported by whom: a folder imports itself and what stands below it, never what stands beside it.
LAYERS = [
    {"errors"},
    {"names"},
    {"kernel"},
    {"spec"},
    {"api"},
    {"observe", "image"},
    {"plan"},
    {"runtime"},
    {"supervisor"},
    {"node"},
    {"testing"},
]
CLI_IMPORTS = {"minipod.api.client", "minipod.names", "minipod.errors", "minipod"}
ONLY_IN_KERNEL = {"ctypes", "pyroute2"}


def check(*command):
    """Run a tool; what it complains of is the test's failure."""
    tool = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if tool.returncode:
        pytest.fail(tool.stdout, pytrace=False)


def test_ruff_finds_nothing():
    check(sys.executable, "-m", "ruff", "check", "--quiet", "minipod", "tests")


def test_ruff_would_format_it_the_same_way():
    check(sys.executable, "-m", "ruff", "format", "--check", "--quiet", "minipod", "tests")


def test_mypy_accepts_every_type():
    check(sys.executable, "-m", "mypy", "--strict", "minipod")


def shell_scripts():
    for folder in (".ci", "scripts", "rootfs"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.read_bytes().startswith((b"#!/bin/sh", b"#!/bin/bash")):
                yield str(path.relative_to(ROOT))


def test_shellcheck_accepts_every_script():
    scripts = list(shell_scripts())
    assert "scripts/setup" in scripts
    check("shellcheck", *scripts)


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path, modules):
    """Every module `path` imports, at its top or inside a function; `from a import b` is a.b if that is a module."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                member = f"{node.module}.{alias.name}"
                yield member if member in modules else str(node.module)


def import_graph(paths):
    modules = {module_name(path) for path in paths}
    return {module_name(path): set(imports_of(path, modules)) for path in paths}


def layer(module):
    """How high a module stands; minipod itself (the version) is below everything."""
    folder = module.split(".")[1] if "." in module else ""
    return next((height for height, folders in enumerate(LAYERS) if folder in folders), -1)


def upward_imports(graph):
    for module, imported in graph.items():
        for target in sorted(name for name in imported if name.split(".")[0] == "minipod"):
            own_folder = module.split(".")[:2] == target.split(".")[:2]
            if module.startswith("minipod.cli"):
                allowed = own_folder or target in CLI_IMPORTS
            else:
                allowed = own_folder or (
                    layer(target) < layer(module) and not target.startswith("minipod.cli")
                )
            if not allowed:
                yield f"{module} imports {target}"


def cycle(graph):
    """The modules of one import cycle, or nothing."""
    done = set()

    def visit(module, path):
        if module in path:
            return path[path.index(module) :]
        if module in done or module not in graph:
            return []
        for target in sorted(graph[module]):
            if found := visit(target, [*path, module]):
                return found
        done.add(module)
        return []

    return next((found for module in sorted(graph) if (found := visit(module, []))), [])


def test_every_folder_has_its_layer():
    folders = {path.relative_to(ROOT / "minipod").parts[0].removesuffix(".py") for path in PACKAGE}
    assert folders - {"__init__", "cli"} <= set().union(*LAYERS)


def test_imports_point_down():
    assert list(upward_imports(import_graph(PACKAGE))) == []


def test_imports_make_no_cycle():
    assert cycle(import_graph(PACKAGE)) == []


def test_only_the_kernel_folder_imports_ctypes_and_pyroute2():
    found = {
        module
        for module, imported in import_graph(PACKAGE).items()
        if ONLY_IN_KERNEL & {name.split(".")[0] for name in imported}
    }
    assert {module for module in found if not module.startswith("minipod.kernel.")} == set()


@pytest.mark.parametrize(
    ("module", "target"),
    [
        ("minipod.plan.core", "minipod.runtime.forge"),
        ("minipod.image.store", "minipod.observe.namespaces"),
        ("minipod.node.server", "minipod.cli.main"),
        ("minipod.cli.apply", "minipod.spec.pod"),
        ("minipod.cli.apply", "minipod.api.messages"),
    ],
)
def test_an_import_that_points_up_would_be_found(module, target):
    assert list(upward_imports({module: {target}})) == [f"{module} imports {target}"]


def test_a_cycle_would_be_found():
    assert cycle({"a": {"b"}, "b": {"c", "d"}, "c": set(), "d": {"a"}}) == ["a", "b", "d"]


def test_files_are_short():
    long = {str(path): lines for path in [*PACKAGE, *TESTS] if (lines := path.read_text().count("\n")) >= 400}
    assert long == {}


def function_lengths():
    for path in PACKAGE:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                yield f"{path.relative_to(ROOT)}: {node.name}", lines


def test_no_function_is_longer_than_80_lines_and_few_are_longer_than_50():
    lengths = dict(function_lengths())
    assert {name: lines for name, lines in lengths.items() if lines > 80} == {}
    over_50 = [name for name, lines in lengths.items() if lines > 50]
    assert len(over_50) <= len(lengths) // 20, over_50


def text_files():
    """What belongs to the project: everything git would take."""
    listed = subprocess.run(
        [
            "git",
            "-c",
            f"safe.directory={ROOT}",
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=False,
    )
    return [ROOT / os.fsdecode(name) for name in listed.stdout.split(b"\0") if name]


# Spelled so that this file doesn't hold them: notes to oneself belong into an issue, and a path of one machine nowhere.
@pytest.mark.parametrize("word", ["TO" + "DO", "FIX" + "ME", "/work" + "/", "/tmp" + "/v/"])
def test_no_file_holds_a_word_that_does_not_belong(word):
    files = [path for path in text_files() if path.is_file()]
    assert files, "not a git checkout?"
    assert [str(path) for path in files if word.encode() in path.read_bytes()] == []
