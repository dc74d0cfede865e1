"""Tell, importing next to nothing, that a tick has nothing to do.

A tick that finds nothing costs what starting Python and one look at the folders cost. After a tick that left
nothing pending, `remember` notes what every file and folder that matters looks like; as long as they look the
same, `nothing_new` is all that the next tick needs. The note only ever saves work: without it the tick looks closely.
"""

import os
import sys
import time

NOTHING_NEW = "nothing new"
HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def config_of(arguments: list[str]) -> str | None:
    """The config file of a plain run, made absolute; None when the arguments ask for anything else."""
    if not arguments:
        return os.path.join(HOME, "config.json")
    if len(arguments) == 2 and arguments[0] == "--config":
        return os.path.abspath(arguments[1])
    return None


def logs_beside(config: str) -> str:
    """The folder for what concerns a config as a whole: its idle note and cron's log."""
    return os.path.join(os.path.dirname(config), "logs")


def look(paths: list[str]) -> str:
    """What the paths look like: a line for each file, each entry of a folder, each link's target.

    Names are ASCII-escaped; size, inode and both times (ns) stand for the content: `mtime` can be set back by whoever
    copies a file, `ctime` by nobody.
    """
    lines = []
    for path in paths:
        try:
            if os.path.islink(path):
                lines.append(f"{path!a} -> {os.readlink(path)!a}")
                continue
            facts = os.stat(path)
            lines.append(f"{path!a} {_facts(facts)}")
            if path.endswith(os.sep):
                with os.scandir(path) as entries:
                    lines += sorted([_entry(entry) for entry in entries])
        except OSError as error:
            lines.append(f"{path!a} error {error.errno}")
    return "\n".join(lines) + "\n"


def _entry(entry: "os.DirEntry[str]") -> str:
    return f"  {entry.name!a} {_facts(entry.stat(follow_symlinks=False))}"


def _facts(facts: os.stat_result) -> str:
    return f"{facts.st_size} {facts.st_mtime_ns} {facts.st_ctime_ns} {facts.st_ino}"


def nothing_new(arguments: list[str]) -> bool:
    """Whether a plain run would find everything as the last complete tick left it; says and logs so when it would."""
    config = config_of(arguments)
    if config is None:
        return False
    try:
        with _open(_note(config), "r") as note:
            if note.readline() != _first_line(config):
                return False
            head, _, looked = note.read().partition("\n\n")
        lines = [line.split("\t") for line in head.split("\n")]
        paths = [path for _, path in (line for line in lines if line[0] == "look")]
        products = [tuple(line[1:]) for line in lines if line[0] == "product"]
        if not paths or look(paths) != looked:
            return False
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = f'{{"at": "{now}", "script": "fullprocess", "outcome": "done", "seconds": 0, "text": "nothing new"}}\n'
        for _, runs, _ in products:
            with _open(runs, "a") as log:
                log.write(line)
    except (OSError, ValueError):  # no note, a damaged one, or nowhere to log to: the run itself sees to it
        return False
    for name, _, said in products:
        sys.stdout.write(f"{name}: {said}\n")
    return True


def check_packages() -> None:
    """Leave with a hint when this Python has none of the packages: it is the system's, not that of `make run`."""
    import importlib.util

    if importlib.util.find_spec("pydantic") is None:
        python = os.path.join(HOME, ".venv", "bin", "python")
        sys.exit(f"{sys.executable} has not the packages of requirements.txt; use {python} (make run makes it)")


def remember(
    config: str,
    products: dict[str, str],
    paths: list[str],
    inputs_before: str,
    inputs: list[str],
    *,
    said: dict[str, str] | None = None,
) -> None:
    """Note what everything looks like after a tick that left nothing pending.

    Args:
        config: absolute path of the config file.
        products: each product's name and its runs.jsonl.
        paths: what to look at; a path that ends with a slash is a folder whose entries count.
        said: what the next run is to say of a product when it finds nothing, where that is not NOTHING_NEW.
        inputs_before: `look(inputs)` from before the tick: had anything arrived since, it would not be noted.
    """
    paths = [config, *paths]  # as it was named: a link to another config by now is another config
    said = dict.fromkeys(products, NOTHING_NEW) | (said or {})
    named = [*products.values(), *paths, *said.values()]
    looked = look(paths)
    # Compared after that look: whatever arrives in between must not be noted as seen.
    if any(mark in text for text in named for mark in "\t\n") or look(inputs) != inputs_before:
        return
    head = [f"product\t{name}\t{runs}\t{said[name]}" for name, runs in products.items()]
    head += [f"look\t{path}" for path in paths]
    text = _first_line(config) + "\n".join(head) + "\n\n" + looked
    note = _note(config)
    os.makedirs(os.path.dirname(note), exist_ok=True)
    with _open(f"{note}.tmp", "w") as temporary:
        temporary.write(text)
    os.replace(f"{note}.tmp", note)


def _open(path: str, mode: str) -> "io.TextIOWrapper":  # noqa: F821  not worth an import
    """Open a text file that can hold any path: those of odd bytes too, and line ends as they are."""
    return open(path, mode, encoding="utf-8", errors="surrogateescape", newline="\n")


def _first_line(config: str) -> str:
    """The note's format and the config it is about: a note copied along with its folder is about another one."""
    return f"churn idle note 4 of {config!a}\n"


def _note(config: str) -> str:
    return os.path.join(logs_beside(config), os.path.basename(config) + ".idle")
