"""The benchmark of the drift check runs, and says so where its peer cannot be installed."""

import re

from demo import bench_drift


def test_the_quick_benchmark_checks_a_drop_and_finds_the_four_columns_that_have_shifted(capsys):
    assert bench_drift.main(["--quick"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"20,000 rows x 20 columns \(4 have shifted\); \d+\.\d\d s", said)
    assert int(re.search(r"size of that profile; (\d+) kB", said).group(1)) <= 50


def test_without_its_peer_the_benchmark_says_why_and_measures_ours(tmp_path):
    (tmp_path / "evidently").write_text("in the way of an environment")
    first, *_ = bench_drift.drift(tmp_path, [], bench_drift.Size(20_000, 1, peers=True))
    assert first[1].startswith("Evidently cannot be installed: Error: Unable to create directory")
    assert re.fullmatch(r"\d+\.\d\d s", first[2])
