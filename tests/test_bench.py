"""The benchmark runs, and compares like with like; how fast is for `make bench` to say."""

import re

from demo import bench


def test_the_quick_benchmark_measures_both_sides(capsys):
    assert bench.main(["--quick", "--only", "full", "drop"]) == 0
    table = capsys.readouterr().out
    assert "the same rows" in table and "OTHER ROWS" not in table
    assert len(re.findall(r"\d+\.\d x as fast", table)) == 2
    assert "rows onto" in table


def test_an_idle_tick_is_measured_beside_starting_python(capsys):
    assert bench.main(["--quick", "--only", "tick"]) == 0
    assert re.search(r"nothing new, 20 files there.*\d\.\d+ x as long", capsys.readouterr().out)
