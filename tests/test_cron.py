"""The crontab line, and a tick that a real cron starts in its bare environment.

The real crontab command and the real cron run in a mount namespace of their own, in which the crontabs, /run and
/etc/cron.d are empty: no crontab of this machine is touched, and no other job is run.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cron
from churn import storage
from tests.conftest import CORPORATE, FOLDERS, HOME

PATHS = ["/srv/churn/config.json", '/srv/it\'s 100% "ours"/$HOME/`x`/co#nfig.json', "/srv/größe/%.json"]


def set_up(folder):
    for name in ("sourcedata", "testdata"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    path = folder / "config.json"
    path.write_text(json.dumps({**FOLDERS, "products": {"corporate": CORPORATE, "telco": CORPORATE}}))
    return path


def run(*arguments, **also):
    command = [sys.executable, str(HOME / "cron.py"), *map(str, arguments)]
    return subprocess.run(command, cwd="/", capture_output=True, text=True, check=False, **also)


def said(config):
    return (config.parent / "logs" / "cron.txt").read_text()


# ---- the line --------------------------------------------------------------------------------------------------------


def as_cron_reads(line):
    """The schedule and the command of a crontab line: cron ends a command at a percent sign without a backslash."""
    *schedule, command = line.split(" ", 5)
    assert not re.search(r"(?<!\\)%", command)
    return schedule, command.replace(r"\%", "%")


@pytest.mark.parametrize("config", PATHS)
def test_the_line_runs_every_ten_minutes_with_absolute_paths_and_any_path_survives_cron_and_shell(config):
    schedule, command = as_cron_reads(cron.crontab_line(config))
    assert schedule == ["*/10", "*", "*", "*", "*"]
    assert shlex.split(command, comments=True) == [sys.executable, str(HOME / "cron.py"), "--config", config]
    by_shell = command.replace(shlex.quote(sys.executable), "printf '%s\\n'", 1)
    done = subprocess.run(["/bin/sh", "-c", by_shell], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == [str(HOME / "cron.py"), "--config", config, ""]


# Whatever may stand in a crontab: everything but NUL and the line feed, odd line ends and form feeds included.
lines = st.text(st.characters(codec="utf-8", exclude_characters="\0\n"), max_size=20) | st.sampled_from(
    ["MAILTO=me", "# m h dom mon dow command", "0 5 * * * /usr/bin/backup\r", "a\x0cb\x1cc\x85d\u2028e", ""]
)
crontabs = st.builds(lambda rows, end: "\n".join(rows) + end, st.lists(lines, max_size=5), st.sampled_from(["", "\n"]))


def complete(crontab):
    """A crontab as cron wants it: its last line ends too."""
    return crontab + "\n" if crontab and not crontab.endswith("\n") else crontab


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(crontabs, st.sampled_from(PATHS), st.sampled_from(PATHS))
def test_the_line_is_there_once_and_everything_else_stays_byte_for_byte(crontab, config, other):
    line = cron.crontab_line(config) + "\n"
    installed = cron.with_line(crontab, config, present=True)
    assert installed == complete(crontab) + line
    assert cron.with_line(installed, config, present=True) == installed
    assert cron.with_line(installed, config, present=False) == complete(crontab)
    if other != config:
        both = cron.with_line(installed, other, present=True)
        assert cron.with_line(both, config, present=False) == cron.with_line(crontab, other, present=True)


def test_a_line_of_an_older_installation_is_replaced_and_not_doubled():
    old = "*/10 * * * * /old/python /old/cron.py --config /srv/churn/config.json # churn: /srv/churn/config.json\n"
    assert cron.with_line(old, PATHS[0], present=True) == cron.crontab_line(PATHS[0]) + "\n"


def test_show_prints_the_line_of_the_config_meant(tmp_path):
    config = set_up(tmp_path)
    assert run("--show", "--config", "config.json", "--config", config).stdout == cron.crontab_line(str(config)) + "\n"
    assert run("--show").stdout == cron.crontab_line(str(HOME / "config.json")) + "\n"


def test_a_config_that_is_not_there_or_not_possible_is_not_installed(tmp_path):
    done = run("--install", "--config", tmp_path / "nowhere.json")
    assert (done.returncode, done.stderr) == (
        1,
        f"not done: {tmp_path}/nowhere.json: no such file; name one with --config\n",
    )
    odd = set_up(tmp_path / "a\n* * * * * echo another line")
    done = run("--install", "--config", odd)
    assert done.returncode == 1
    assert "a crontab cannot hold this path" in done.stderr


def test_without_a_crontab_command_it_says_what_to_install(tmp_path):
    done = run("--install", "--config", set_up(tmp_path), env={"PATH": str(tmp_path)})
    assert (done.returncode, done.stderr) == (
        1,
        "not done: there is no crontab command; on Debian: apt-get install cron\n",
    )


# ---- a run -----------------------------------------------------------------------------------------------------------


def test_a_run_appends_what_it_did_to_the_log_beside_the_config_and_says_nothing_itself(tmp_path):
    config = set_up(tmp_path)
    for _ in range(2):
        done = run("--config", config)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    time_ = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    assert re.fullmatch(
        rf"{time_} run\n"
        rf"corporate: no data yet; put a file into {tmp_path}/sourcedata/corporate\n"
        rf"telco: no data yet; put a file into {tmp_path}/sourcedata/telco\n"
        rf"{time_} exit 0\n"
        rf"{time_} run\ncorporate: nothing new\ntelco: nothing new\n{time_} exit 0\n",
        said(config),
    )


def test_a_run_that_fails_says_so_in_one_line_for_crons_mail(tmp_path):
    config = set_up(tmp_path)
    config.write_text("{")
    done = run("--config", config)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == f"the churn run failed (exit 1); read {tmp_path}/logs/cron.txt\n"
    assert f"not done: {config}, line 1, column 2: " in said(config)
    assert said(config).endswith("exit 1\n")


def test_while_one_run_is_at_work_the_next_leaves_quietly(tmp_path):
    config = set_up(tmp_path)
    with (
        storage.locked(tmp_path / "logs" / "corporate" / "lock", "corporate"),
        storage.locked(tmp_path / "logs" / "telco" / "lock", "telco"),
    ):
        began = time.monotonic()
        done = run("--config", config)
        assert time.monotonic() - began < 5
    assert (done.returncode, done.stdout, done.stderr) == (75, "", "")
    assert f"corporate: another run (process {os.getpid()}) is at work" in said(config)


def test_its_log_does_not_grow_for_ever(tmp_path):
    config = set_up(tmp_path)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "cron.txt").write_text("x" * (cron.MAX_BYTES + 1))
    run("--config", config)
    assert (tmp_path / "logs" / "cron.txt.1").stat().st_size == cron.MAX_BYTES + 1
    assert said(config).endswith("exit 0\n")


# ---- the real thing --------------------------------------------------------------------------------------------------

# With process numbers of their own too: whatever is started there ends with it.
UNSHARE = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
NAMESPACE = """set -e
for folder in /run /etc/cron.d /var/spool/cron/crontabs; do mount -t tmpfs tmpfs $folder; done
mount --bind /dev/null /etc/crontab
chgrp crontab /var/spool/cron/crontabs
chmod 1730 /var/spool/cron/crontabs
"""


@pytest.fixture
def in_namespace():
    """A function that runs a shell script with the crontab command and cron, apart from those of this machine."""
    missing = [name for name in ("cron", "crontab", "unshare") if not shutil.which(name)]
    if missing:
        pytest.skip(f"there is no {', '.join(missing)} here; on Debian: apt-get install cron util-linux")
    if os.getuid() != 0 or subprocess.run([*UNSHARE, "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs root, and the right to make a mount namespace")

    def script(text, *arguments, **environment):
        command = [*UNSHARE, "sh", "-c", NAMESPACE + text, "sh", *map(str, arguments)]
        env = {**os.environ, **environment}
        done = subprocess.run(command, cwd="/", env=env, capture_output=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout

    return script


def test_installed_into_a_real_crontab_once_and_taken_out_again(tmp_path, in_namespace):
    config = set_up(tmp_path / "it's 100% ours")
    mine = b"# my own \xff line,\ttabs  and blanks \n\n0 5 * * * /usr/bin/true\n"
    (tmp_path / "mine").write_bytes(mine)
    text = """
        "$1" "$2" --install --config "$3"
        crontab -l > "$4/installed alone"
        crontab "$4/mine"
        "$1" "$2" --install --config "$3"
        "$1" "$2" --install --config "$3"
        crontab -l > "$4/installed twice"
        rm "$3"
        "$1" "$2" --remove --config "$3"
        crontab -l > "$4/removed"
        crontab -r
        "$1" "$2" --remove --config "$3"
        crontab -l 2> /dev/null || echo none
    """
    before = subprocess.run(["crontab", "-l"], capture_output=True, check=False).stdout
    output = in_namespace(text, sys.executable, HOME / "cron.py", config, tmp_path).decode()
    line = cron.crontab_line(str(config)).encode() + b"\n"
    assert (tmp_path / "installed alone").read_bytes() == line
    assert (tmp_path / "installed twice").read_bytes() == mine + line
    assert (tmp_path / "removed").read_bytes() == mine
    assert output.count(f"installed: {cron.crontab_line(str(config))}\n") == 3
    assert output.endswith(f"no line for {config} in the crontab now\nnone\n")
    assert subprocess.run(["crontab", "-l"], capture_output=True, check=False).stdout == before


def clock_shortly_before(minute, seconds):
    """A time zone in which the local time is now so many seconds before 12:`minute`."""
    east = (12 * 3600 + minute * 60 - seconds - int(time.time())) % 86_400
    east -= 86_400 if east > 43_200 else 0
    hours, rest = divmod(abs(east), 3600)
    return f"TST{'-' if east > 0 else '+'}{hours:02}:{rest // 60:02}:{rest % 60:02}"


def test_a_real_cron_fires_the_installed_line_and_the_tick_runs_in_its_bare_environment(tmp_path, in_namespace):
    """The line is the installed one, `*/10` and all; cron alone is told a time zone in which that is seconds away."""
    config = set_up(tmp_path / "it's 100% ours")
    (tmp_path / "also").write_text("*/10 * * * * env > '" + str(tmp_path / "environment") + "'\n")
    text = """
        crontab "$4/also"
        "$1" "$2" --install --config "$3"
        log="$(dirname "$3")/logs/cron.txt"
        TZ="$5" cron -f &
        cron=$!
        for tenth in $(seq 300); do
            if grep -q exit "$log" 2> /dev/null; then break; fi
            sleep 0.1
        done
        kill $cron
        "$1" "$2" --remove --config "$3"
    """
    zone = clock_shortly_before(10, 4)
    in_namespace(text, sys.executable, HOME / "cron.py", config, tmp_path, zone, CHURN_TEST="not for cron's children")
    kept = dict(line.split("=", 1) for line in (tmp_path / "environment").read_text().splitlines())
    assert set(kept) <= {"HOME", "LOGNAME", "PATH", "SHELL", "PWD", "USER", "LANG", "SHLVL", "_"}
    lines = said(config).splitlines()
    assert lines[0].endswith(" run")
    assert lines[1] == f"corporate: no data yet; put a file into {config.parent}/sourcedata/corporate"
    assert lines[3].endswith(" exit 0")
    assert len(lines) == 4
    (record,) = storage.read_lines(config.parent / "logs" / "corporate" / "runs.jsonl")
    assert (record["script"], record["outcome"]) == ("fullprocess", "done")
