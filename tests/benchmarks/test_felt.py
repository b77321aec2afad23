"""The benchmark of what users feel, in small."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import felt
import pytest
from common.corpus import Writer, write_large, write_pairs


def test_the_corpus_is_the_same_for_the_same_seed_and_as_long_as_asked() -> None:
    assert Writer(3).pair() == Writer(3).pair()
    assert Writer(3).pair() != Writer(4).pair()
    writer = Writer(0)
    words = [len(writer.prose(100, 0.8).split()) for _ in range(2000)]
    assert 90 < sum(words) / len(words) < 110


def test_a_file_of_pairs_has_turns_that_end_with_the_user(tmp_path: Path) -> None:
    write_pairs(tmp_path / "pairs.jsonl", 20, seed=0)
    rows = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text().splitlines()]
    assert len(rows) == 20
    for row in rows:
        assert row["prompt"][-1]["role"] == "user"
        assert [row[name][0]["role"] for name in ("chosen", "rejected")] == ["assistant", "assistant"]


def test_no_two_rows_of_a_large_file_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "large.jsonl"
    number = write_large(path, 2e7)
    lines = path.read_text().splitlines()
    assert len(lines) == len(set(lines)) == number > 5000
    assert path.stat().st_size == pytest.approx(2e7, rel=0.01)


def test_a_command_is_measured_with_its_own_processor_time_and_memory() -> None:
    code = "import time\nhold = bytearray(100_000_000)\nwhile time.process_time() < 0.3: pass"
    found = felt.measured([sys.executable, "-c", code], 1)
    assert 0.3 <= found["cpu"] < 0.6
    assert found["cpu"] <= found["wall"] + 0.05
    assert found["peak_megabytes"] > 100


def test_a_start_is_measured_until_the_sign_and_then_ended(tmp_path: Path) -> None:
    code = "import time\nprint('first')\ntime.sleep(0.2)\nprint('step 1')\ntime.sleep(600)"
    found = felt.until([sys.executable, "-c", code], lambda line: "step 1" in line, tmp_path, 1)
    assert 0 < found["first_line"] < found["wall"] < 300
    assert found["wall"] - found["first_line"] >= 0.15


def test_a_table_for_all_that_is_measured_in_the_same_numbers() -> None:
    found = {"a": {"cpu": [1.0, 3.0, 2.0]}, "b": {"cpu": [1.0]}, "c": {"share": [0.25]}}
    assert felt.tables(found).splitlines() == [
        "|  | CPU s |",
        "| --- | --- |",
        "| a | 2.00 (1.00-3.00) |",
        "| b | 1.00 |",
        "",
        "|  | share of a step |",
        "| --- | --- |",
        "| c | 25.00% |",
    ]


@pytest.mark.slow
def test_pairs_are_tokenised_and_counted(tmp_path: Path) -> None:
    options = argparse.Namespace(rounds=1, threads=1, pairs=20, without_peer=True)
    bench = felt.Bench(options, tmp_path)
    bench.tokenise()
    (numbers,) = bench.found.values()
    assert numbers["prompt_ids"][0] > 20 * 20
    assert numbers["chosen_ids"][0] > 20 * 10
