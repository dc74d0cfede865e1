"""One unattended run of fullprocess.py, for cron; what it says is appended to logs/cron.txt.

  python cron.py --install    puts a line into your crontab that runs it every ten minutes
  python cron.py --show       prints that line
  python cron.py --remove     takes it out again

It never overlaps itself: while one run is at work, the next exits with 75. When a run fails, one line on stderr
says so, which cron mails to the user.
"""

import os
import sys
import time

from churn import idle


def run(arguments: list[str]) -> int:
    """Run fullprocess with its output in logs/cron.txt beside the config; its exit code.

    Args:
        arguments: those of fullprocess.py; nothing, or --config FILE.
    """
    folder = idle.logs_beside(idle.config_of(arguments))
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "cron.txt")
    if os.path.exists(path) and os.stat(path).st_size > MAX_BYTES:
        os.replace(path, f"{path}.1")
    terminal = os.dup(2)
    with open(path, "a", encoding="utf-8") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    _say("run")
    code = 0
    if not idle.nothing_new(arguments):
        code = _work(arguments)
    sys.stdout.flush()
    _say(f"exit {code}")
    if code not in (0, BUSY):
        os.write(terminal, f"the churn run failed (exit {code}); read {path}\n".encode())
    return code


def _work(arguments: list[str]) -> int:
    try:
        import fullprocess

        return fullprocess.main(arguments)
    except Exception:  # noqa: BLE001  an environment that cannot even start the run: cron must hear of it
        import traceback

        traceback.print_exc()
        return BUG


MAX_BYTES = 5_000_000
BUG, BUSY = 3, 75  # as in churn/stage.py, which is not imported for a run that finds nothing


def _say(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}\n")
    sys.stdout.flush()


# ---- the crontab -----------------------------------------------------------------------------------------------------


def crontab_line(config: str) -> str:
    """The line for the crontab, with absolute paths, as cron's bare environment needs them."""
    import shlex

    command = shlex.join([sys.executable, os.path.join(idle.HOME, "cron.py"), "--config", config])
    # cron takes an unescaped percent sign for the end of the command.
    return f"*/10 * * * * {command} {_mark(config)}".replace("%", r"\%")


def _mark(config: str) -> str:
    """What tells our line of a config from any other; to the shell that cron starts it is a comment."""
    return f"# churn: {config}"


def with_line(crontab: str, config: str, *, present: bool) -> str:
    """A crontab's text with our line for the config in it once, at the end, or without it; the rest as it was."""
    end = _mark(config).replace("%", r"\%")
    # Only a line feed ends a line for cron; splitlines() would also cut at form feeds and others.
    lines = crontab.removesuffix("\n").split("\n") if crontab else []
    kept = [line for line in lines if not line.endswith(end)]
    return "".join(f"{line}\n" for line in [*kept, *([crontab_line(config)] if present else [])])


def _crontab(*arguments: str, text: str = "") -> str:
    """Run the crontab command; its output. Whatever bytes the user's own lines hold pass through as they are."""
    import subprocess

    from churn.errors import ChurnError

    try:
        given = text.encode("utf-8", "surrogateescape")
        done = subprocess.run(["crontab", *arguments], input=given, capture_output=True, check=False)
    except FileNotFoundError:
        raise ChurnError("there is no crontab command; on Debian: apt-get install cron") from None
    if done.returncode and b"no crontab for" not in done.stderr:
        raise ChurnError(f"crontab {' '.join(arguments)}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode("utf-8", "surrogateescape")


def main(arguments: list[str]) -> int:
    """Run once, or see to the crontab."""
    if idle.config_of(arguments):
        return run(arguments)
    import argparse

    from churn.errors import ChurnError

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default=os.path.join(idle.HOME, "config.json"), help="default: config.json")
    actions = parser.add_mutually_exclusive_group(required=True)
    actions.add_argument("--install", action="store_true", help="put the line into your crontab, once")
    actions.add_argument("--remove", action="store_true", help="take the line out of your crontab")
    actions.add_argument("--show", action="store_true", help="print the line")
    options = parser.parse_args(arguments)
    path = os.path.abspath(options.config)
    if options.show:
        print(crontab_line(path))
        return 0
    try:
        if options.install and not os.path.isfile(path):
            raise ChurnError(f"{path}: no such file; name one with --config")
        if options.install:
            idle.check_packages()
        if options.install and not crontab_line(path).isprintable():  # a line feed in a name would begin another line
            raise ChurnError(f"{path!a}: a crontab cannot hold this path; rename the folder or the file")
        before = _crontab("-l")
        after = with_line(before, path, present=options.install)
        if after != before:
            _crontab("-", text=after)
    except ChurnError as error:
        print(f"not done: {error}", file=sys.stderr)
        return 1
    print(f"installed: {crontab_line(path)}" if options.install else f"no line for {path} in the crontab now")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
