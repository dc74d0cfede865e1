"""The rules of the house: what imports what, and what every file keeps to."""

import ast
import graphlib
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import HOME

SCRIPTS = {path.stem: path for path in HOME.glob("*.py") if path.stem.isidentifier()}
LIBRARY = {
    ".".join(path.relative_to(HOME).with_suffix("").parts): path
    for path in (HOME / "churn").rglob("*.py")
    if path.stem != "__init__"
}
MODULES = {**SCRIPTS, **LIBRARY, **{f"demo.{path.stem}": path for path in (HOME / "demo").glob("*.py")}}
SOURCES = [*MODULES.values(), *(HOME / "churn").rglob("__init__.py")]
TESTS = list((HOME / "tests").glob("*.py"))
STAGES = {"ingestion", "training", "scoring", "deployment", "diagnostics", "reporting"}

# Imports point from a later line to an earlier one, or stay within one. Not named: the rooms of churn/, and the demos.
ORDER = [
    {"churn.errors", "churn.idle", "churn.measures", "churn.words"},
    {"churn.storage", "churn.columns", "churn.drift"},
    {"churn.settings"},
    {"churn.config"},
    {"rooms"},
    {"churn.stage"},
    STAGES | {"apicalls"},
    {"fullprocess", "app"},
    {"cron", "wsgi"},
    {"demos"},
]


def name_of(path):
    return str(path.relative_to(HOME))


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported(node):
    """The modules of ours that an import statement names."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names} & set(MODULES)
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        names = {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        return names & set(MODULES)
    return set()


def imports(module, *, at_the_top=False):
    """What a module imports of ours, anywhere (types only included), or when it is imported itself."""
    tree = tree_of(MODULES[module])
    nodes = tree.body if at_the_top else ast.walk(tree)
    return set().union(*(imported(node) for node in nodes))


def place(module):
    """On which line of ORDER a module stands."""
    named = [i for i, line in enumerate(ORDER) if module in line]
    if not named:
        assert module.startswith(("churn.", "demo.")), f"{module} has no place in ORDER"
    return named[0] if named else ORDER.index({"rooms"} if module.startswith("churn.") else {"demos"})


# ---- imports ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_one_way(module):
    against = {other for other in imports(module) if place(other) > place(module)}
    assert not against, f"{module} imports {against}, which stand above it"


def test_no_imports_go_in_a_circle_not_even_within_functions():
    graphlib.TopologicalSorter({module: imports(module) for module in MODULES}).prepare()


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_stage_imports_no_script_and_churn_imports_none(module):
    if module in STAGES | {"apicalls", *LIBRARY}:
        assert not imports(module) & set(SCRIPTS)
    assert module.startswith("demo.") or not any(other.startswith("demo.") for other in imports(module))


def test_the_stages_are_the_scripts_that_are_neither_above_nor_beside_them():
    assert set(SCRIPTS) == STAGES | {"apicalls", "fullprocess", "app", "cron", "wsgi"}


def test_a_tick_that_finds_nothing_new_imports_next_to_nothing():
    assert imports("cron", at_the_top=True) == {"churn.idle"}
    assert imports("churn.idle") == set()
    first_look = next(i for i, node in enumerate(tree_of(SCRIPTS["fullprocess"]).body) if isinstance(node, ast.If))
    before = tree_of(SCRIPTS["fullprocess"]).body[:first_look]
    assert set().union(*(imported(node) for node in before)) == {"churn.idle"}
    assert not imports("fullprocess", at_the_top=True) & (set(SCRIPTS) | {"churn.estimators", "churn.measures"})


WATCH = """
import json, logging, os, sys

opened, made = [], []

def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        opened.append((os.fsdecode(arguments[0]), arguments[1], arguments[2]))
    elif event in ("os.mkdir", "os.rename", "os.remove", "os.symlink", "socket.connect", "subprocess.Popen"):
        made.append([event, str(arguments[0])])

sys.addaudithook(watch)
import importlib
for module in sys.argv[1:]:
    importlib.import_module(module)
writing = [name for name, mode, flags in opened if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)]
print(json.dumps({
    "opened": [name for name, *_ in opened],
    "written": writing,
    "made": made,
    "handlers": [str(handler) for handler in logging.getLogger().handlers],
    "level": logging.getLogger().level,
}))
"""


def test_importing_a_module_does_nothing(tmp_path):
    """No folder is made, no logging set up, no config read. (wsgi is there to make the app when it is imported.)"""
    modules = sorted(set(MODULES) - {"wsgi"})
    environment = {**os.environ, "PYTHONPATH": str(HOME), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", WATCH, *modules],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    seen = json.loads(done.stdout)
    assert os.listdir(tmp_path) == []
    ours = [name for name in seen["opened"] if name.startswith(f"{HOME}/") and "/.venv/" not in name]
    assert [name for name in ours if not name.endswith((".py", ".pyc"))] == []
    assert [name for name in seen["written"] if name.startswith((str(HOME), str(tmp_path)))] == []
    assert [what for what in seen["made"] if what[1].startswith((str(HOME), str(tmp_path)))] == []
    assert [what for what in seen["made"] if what[0] in ("socket.connect", "subprocess.Popen")] == []
    assert (seen["handlers"], seen["level"]) == ([], 30)


# ---- what every file keeps to ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=name_of)
def test_every_module_opens_with_one_sentence(path):
    if path.name == "__init__.py" and not path.read_text():
        return
    first, *rest = (ast.get_docstring(tree_of(path)) or "").split("\n")
    assert first.endswith(".")
    assert ". " not in first
    assert not rest or rest[0] == ""


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_files_and_functions_are_of_a_size_that_can_be_read(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= 300, f"{lines} lines ask to be two files"
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef):
            length = node.end_lineno - node.lineno + 1
            assert length <= 45, f"{node.name}: {length} lines ask to be two functions"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_public_functions_and_classes_say_what_they_are(path):
    for node in tree_of(path).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} has no docstring"


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=name_of)
def test_no_error_is_swallowed_whole(path):
    assert not [
        node.lineno for node in ast.walk(tree_of(path)) if isinstance(node, ast.ExceptHandler) and not node.type
    ]


WRITTEN = [
    *SOURCES,
    *HOME.glob("*.md"),
    *HOME.glob("*.json"),
    HOME / "Makefile",
    HOME / "pyproject.toml",
    HOME / ".ci/run",
]


@pytest.mark.parametrize("path", WRITTEN, ids=name_of)
def test_nothing_is_left_to_do_and_nothing_is_of_one_machine(path):
    text = path.read_text(encoding="utf-8")
    assert not re.findall(r"\b(?:TODO|FIXME|XXX|HACK)\b", text)
    assert not re.findall(r"(?<![\w.}>])/(?:home|root|work|tmp|Users|mnt)/\w+", text)


# ---- dependencies and commands ---------------------------------------------------------------------------------------


def pinned(name):
    """What a lock file pins: each requirement by its name, those that this Python needs."""
    text = (HOME / name).read_text()
    found = {}
    for entry in re.split(r"\n(?=\S)", text.strip()):
        line, *hashes = [part.strip() for part in entry.split("\\\n")]
        assert hashes, f"{line}: no hash"
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", part) for part in hashes)
        requirement = Requirement(line)
        assert re.fullmatch(r"==[\w.!+]+", str(requirement.specifier)), line
        if not requirement.marker or requirement.marker.evaluate():
            found[canonicalize_name(requirement.name)] = requirement
    return found


def needed(direct):
    """All that these requirements bring along, as the installed packages say."""
    found, todo = set(), [(requirement, extra) for requirement in direct for extra in ("", *requirement.extras)]
    while todo:
        requirement, extra = todo.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        if (name, "") in found and (name, extra) in found:
            continue
        found |= {(name, ""), *((name, wanted) for wanted in requirement.extras)}
        for text in importlib.metadata.requires(name) or []:
            todo += [(Requirement(text), wanted) for wanted in ("", *requirement.extras)]
    return {name for name, _ in found}


def declared(group=None):
    project = tomllib.loads((HOME / "pyproject.toml").read_text())
    return [
        Requirement(text)
        for text in (project["dependency-groups"][group] if group else project["project"]["dependencies"])
    ]


def test_the_lock_pins_with_hashes_what_the_project_needs_and_nothing_else():
    lock = pinned("requirements.txt")
    assert set(lock) == needed(declared())
    for requirement in declared():
        version = str(lock[canonicalize_name(requirement.name)].specifier).removeprefix("==")
        assert requirement.specifier.contains(version), requirement


def test_the_tools_lock_is_the_same_and_the_tools():
    lock, tools = pinned("requirements.txt"), pinned("requirements-dev.txt")
    assert set(tools) == needed([*declared(), *declared("dev")])
    assert all(str(tools[name].specifier) == str(requirement.specifier) for name, requirement in lock.items())


def packages_of(names):
    """The packages of module names, as requirements spell them."""
    return {canonicalize_name(name.split(".")[0]) if name.split(".")[0] not in MODULES else "churn" for name in names}


def test_what_is_imported_is_declared():
    """A package that comes along with another one can go with it."""
    direct = {canonicalize_name(requirement.name) for requirement in declared()}
    known = direct | {"sklearn", "churn", "demo", *SCRIPTS} | sys.stdlib_module_names
    tools = {canonicalize_name(requirement.name) for requirement in declared("dev")}
    undeclared = set()
    for path in SOURCES:
        known = known | tools if path.parent.name == "demo" else known - (tools - direct)
        for node in ast.walk(tree_of(path)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            undeclared |= {(name_of(path), package) for package in packages_of(names) - known}
    assert not undeclared


def test_every_target_of_the_makefile_has_a_line_in_its_help():
    text = (HOME / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE).group(1).split()
    with_help = re.findall(r"^([a-z]+):.*## \w", text, re.MULTILINE)
    assert sorted(phony) == sorted(with_help)
    assert {"run", "serve", "test", "lint", "bench", "demo", "lock", "help"} <= set(phony)
    shown = subprocess.run(["make", "-s", "help"], cwd=HOME, capture_output=True, text=True, check=True).stdout
    assert [line.split()[1] for line in shown.splitlines()] == with_help


def test_what_must_pass_before_anything_lands_is_lint_and_test():
    commands = (HOME / ".ci" / "run").read_text().splitlines()
    assert commands[-2:] == ["make lint", "make test"]
    assert "set -euo pipefail" in commands
    assert os.access(HOME / ".ci" / "run", os.X_OK)
