"""The benchmark runs, part by part, and compares like with like; how fast and how right is for `make bench` to say."""

import re
import shutil

import pytest

from demo import bench, bench_page, bench_servers, bench_serving


def measured(capsys, *parts):
    """The lines of the table as lists of cells, and what was said on the way."""
    assert bench.main(["--quick", "--only", *parts]) == 0
    said = capsys.readouterr()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in said.out.splitlines() if line[0] == "|"]
    return rows, said.out, said.err.splitlines()


def test_ingestion_is_measured_beside_pandas_on_the_same_rows(capsys):
    _, table, on_the_way = measured(capsys, "full", "drop")
    assert "the same rows" in table and "OTHER ROWS" not in table
    assert len(re.findall(r"\d+\.\d x as fast", table)) == 2
    assert len(on_the_way) == 4 and "rows onto" in on_the_way[-1]


def test_an_idle_tick_is_measured_beside_starting_python(capsys):
    _, _, on_the_way = measured(capsys, "tick")
    assert re.search(r"nothing new, 20 files there.*\d\.\d+ x as long", on_the_way[0])


def test_the_drift_check_and_the_call_list_are_measured_beside_others(capsys):
    rows, _, on_the_way = measured(capsys, "drift", "calls")
    assert [row[0] for row in rows if row[-1] == "wanted"] == ["DRIFT", "CALL LIST"]
    assert re.search(r"drift check of 20,000 rows x 20 columns \(4 have shifted\); \d\.\d\d s", on_the_way[0])
    calls = [line for line in on_the_way if "clients to call" in line]
    assert len(calls) == 4 and all(re.search(r"\d\.\d x as long; <= 3", line) for line in calls)
    assert "30 of 1,000 clients to call, LightGBM, beside scoring them" in calls[-1]


@pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not here; install it with: apt-get install wrk")
def test_predictions_are_measured_beside_an_empty_route(tmp_path):
    frame = bench_servers.rows(500)
    sides = [bench_servers.empty(tmp_path), bench_servers.ours(tmp_path, "logistic", frame)]
    rows = frame[[*bench_servers.NUMBERS, *bench_servers.CATEGORIES]].to_dict("records")
    posted = {"one row": rows[:1], "500 rows": rows}
    found = bench_serving.measured(tmp_path, sides, posted, bench_serving.Size(False, ("logistic",), 1, 1))
    assert list(found["one row"]) == ["an empty Flask route", "ours, logistic"]
    assert list(found["500 rows"]) == ["ours, logistic"]
    assert found["one row"]["ours, logistic"] > found["500 rows"]["ours, logistic"] > 0


def test_how_fast_predictions_are_is_said_as_ratios_beside_what_is_wanted():
    rates = {"an empty Flask route": 4000.0, "ours, logistic": 2500.0, "Flask and a scikit-learn pipeline": 200.0}
    lines = list(bench_serving.lines("one row", rates, "it cannot be installed"))
    assert lines[1][2:4] == ("2,500 a second", "0.62 x the empty route, 12.50 x the usual app")
    assert lines[1][4] == ">= 0.5 x the empty route and >= 10 x the usual app"
    assert lines[-1][:2] == ("one row: mlflow models serve", "it cannot be installed")


def test_every_view_of_the_page_is_measured_with_many_clients(capsys):
    _, _, lines = measured(capsys, "page")
    timed = [line for line in lines if re.fullmatch(r"3,000 clients: .*; \d+ ms, \d+ at most; < 300 ms", line)]
    assert len(timed) == len(bench_page.VIEWS) and any("all clients, page 2;" in line for line in timed)
    assert re.fullmatch(
        r"3,000 clients: memory of the largest worker; \d+ MB at first; \d+ MB at the end; bounded", lines[-1]
    )


def test_promotion_and_estimates_are_simulated(capsys):
    rows, _, on_the_way = measured(capsys, "promotion", "estimate")
    assert [row[:2] for row in rows if row[-1] == "wanted"] == [
        ["PROMOTION", "the higher F1"],
        ["ESTIMATE", "learned in sample"],
    ]
    assert any(line.startswith("equal models, 5,000 rows, 3 recipes: 5 times; ") for line in on_the_way)
    assert any(line.startswith("F1, no drift (corporate, logistic); ") for line in on_the_way)


def test_streams_are_simulated_and_say_what_is_wanted_of_them(capsys):
    _, _, on_the_way = measured(capsys, "streams")
    assert [re.sub(r"; .*; ", "; ... ", line) for line in on_the_way] == [
        "1 stream, without a change: drops falsely called drifted; ... <= 1%",
        "1 stream, without a change: F1 a drop less that of always retraining; ... >= -0.005",
        "1 stream, without a change: promotions in a stream, mean / most; ... <= 4",
        "1 stream, a relation that changes (-.10 ROC AUC): found by the 1st / 2nd drop; ... >= 95% by the 2nd",
        "1 stream, a relation that changes (-.10 ROC AUC): F1 a drop less that of always retraining; ... > 0",
        "1 stream, a relation that changes (-.10 ROC AUC): promotions in a stream, mean / most; ... <= 4",
        "1 stream, a drop with half its labels flipped: trained on for production; ... none",
        "1 stream, a drop with half its labels flipped: promotions in a stream, mean / most; ... <= 4",
    ]


@pytest.mark.parametrize(("error", "code", "said"), [(RuntimeError, 1, "failed: "), (KeyboardInterrupt, 130, "")])
def test_what_was_measured_is_shown_when_a_part_fails_or_is_interrupted(capsys, monkeypatch, error, code, said):
    def part(*_):
        yield ("first", "1 s", "2 s", "0.5", "")
        raise error("no more")

    monkeypatch.setitem(bench.PARTS, "drift", bench.Part(part, ("drift", "", "", "", "")))
    monkeypatch.setitem(bench.PARTS, "calls", bench.Part(lambda *_: iter([("second",) * 5]), ("calls", "", "", "", "")))
    assert bench.main(["--quick", "--only", "drift", "calls"]) == code
    shown = capsys.readouterr().out
    assert "| first" in shown
    assert ("no more" in shown) == bool(said)
    assert ("| second" in shown) == (code == 1)


def test_everything_is_measured_in_full_unless_less_is_asked_for():
    options = bench.arguments().parse_args([])
    assert options.only == [
        "full",
        "drop",
        "tick",
        "drift",
        "calls",
        "serving",
        "page",
        "promotion",
        "estimate",
        "streams",
    ]
    assert bench.FULL.called == 10_000
    assert bench.FULL.drift_rows == 1_000_000 and bench.FULL.peers
    assert bench.FULL.promotion_pairs == 1000
    assert bench.FULL.estimate_rounds == 50
    assert bench.FULL.streams == {
        **dict.fromkeys(("none", "wobble", "relation", "inputs", "gradual"), 300),
        "flipped": 50,
    }
    assert bench.FULL.stream_drops == 24
