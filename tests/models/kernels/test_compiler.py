"""Kernels and threads: all of a range is done once, errors come out, and processes can fork."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from truing.models.kernels import compiler
from truing.models.kernels.compiler import Array, U, compiled, fits, spread


@compiled
def _add_one(x: Array, first: int, last: int) -> None:
    for i in range(U(first), U(last)):
        x[i] += np.float32(1)


@contextmanager
def _threads(many: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(many)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 1000])
def test_each_number_of_a_range_is_done_once(threads: int, count: int) -> None:
    x = np.zeros(1001, np.float32)
    with _threads(threads):
        spread(_add_one, x, count=count, at_least=1)
    assert x[:count].tolist() == [1.0] * count
    assert x[count:].tolist() == [0.0] * (1001 - count)


def test_a_range_goes_to_as_many_threads_as_torch_has() -> None:
    seen: list[tuple[str, int, int]] = []
    with _threads(2):
        spread(lambda a, b: seen.append((threading.current_thread().name, a, b)), count=10, at_least=5)
    assert sorted((a, b) for _, a, b in seen) == [(0, 5), (5, 10)]
    assert len({name for name, _, _ in seen}) == 2


def test_too_little_for_two_threads_stays_on_one() -> None:
    seen: list[tuple[int, int]] = []
    with _threads(2):
        spread(lambda a, b: seen.append((a, b)), count=9, at_least=5)
    assert seen == [(0, 9)]


@pytest.mark.parametrize("bad", [0, 5])
def test_an_error_in_any_piece_reaches_the_caller(bad: int) -> None:
    done: list[int] = []

    def fail(first: int, last: int) -> None:
        if first == bad:
            raise ValueError(f"piece {first}")
        done.append(first)

    with _threads(2), pytest.raises(ValueError, match=f"piece {bad}"):
        spread(fail, count=10, at_least=1)
    assert done == [5 - bad]  # the other piece was finished, too: nobody writes any more


def test_only_float32_in_the_memory_of_the_cpu_fits() -> None:
    assert fits(torch.zeros(1), torch.zeros(2, 3).t())
    assert not fits(torch.zeros(1), torch.zeros(1, dtype=torch.float64))
    assert not fits(torch.zeros(1, dtype=torch.bfloat16))
    assert not fits(torch.zeros(1, device="meta"))


def test_a_process_that_forked_has_threads_of_its_own() -> None:
    script = """
import os, threading, torch
from truing.models.kernels.compiler import spread
torch.set_num_threads(2)
def names():
    seen = []
    spread(lambda a, b: seen.append(threading.current_thread().name), count=2, at_least=1)
    return len(set(seen))
assert names() == 2
child = os.fork()
if child == 0:
    os._exit(40 + names())
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    command = [sys.executable, "-W", "ignore", "-c", script]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert found.stdout == "42\n", found.stderr


_COMPILE = """
from truing.models.kernels import compiler, norms
import os, torch
if "EXPECT_NEW" in os.environ:
    assert compiler.none_is_kept()
out, _ = norms.rms_norm(torch.ones(2, 4), torch.ones(4), 0.0)
new = compiler.none_is_kept()
print(compiler.kept_in(), sum(norms._forward.stats.cache_hits.values()))
assert new == (compiler.kept_in() is None)
"""


def _compile(source: Path, environment: dict[str, str]) -> tuple[str, int]:
    """Runs a kernel of the package that lies in `source`: where machine code is kept, and how often it was there."""
    command = [sys.executable, "-W", "ignore", "-c", _COMPILE]
    environment = os.environ | {"PYTHONPATH": str(source)} | environment
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    folder, hits = done.stdout.split()
    return folder, int(hits)


def test_machine_code_is_kept_and_made_anew_when_any_kernels_source_changes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(Path(compiler.__file__).parents[2], source / "truing", ignore=shutil.ignore_patterns("__pycache__"))
    kept = {"NUMBA_CACHE_DIR": str(tmp_path / "kept")}
    first, hits = _compile(source, kept | {"EXPECT_NEW": "1"})
    assert first.startswith(str(tmp_path / "kept" / "kernels"))
    assert hits == 0
    assert _compile(source, kept) == (first, 1)
    with (source / "truing/models/kernels/exponential.py").open("a") as file:  # norms.py has not changed
        file.write("# changed")
    changed, hits = _compile(source, kept)
    assert changed != first
    assert hits == 0


def test_where_nothing_can_be_written_kernels_run_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    source = Path(compiler.__file__).parents[3]
    assert _compile(source, {"NUMBA_CACHE_DIR": str(tmp_path / "file")}) == ("None", 0)
