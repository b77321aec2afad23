from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from truing.models.store import CacheWarning, Store


def _key(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def _rows(*numbers: int) -> dict[bytes, np.ndarray]:
    """Row n holds n numbers n."""
    return {_key(n): np.full(n, n, np.float32) for n in numbers}


def _store(root: Path, name: str = "a", limit: int = 10**6) -> Store:
    return Store(root, name, limit=limit)


def _files(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("*/*") if path.is_file())


def _found(store: Store, numbers: Iterable[int]) -> set[int]:
    """Which of these rows are there; each as it was written."""
    found = {n: row for n in numbers if (row := store.get(_key(n))) is not None}
    for n, row in found.items():
        assert row.tolist() == [float(n)] * n
        assert _key(n) in store
    return set(found)


def test_what_was_written_is_read_by_the_next_one(tmp_path: Path) -> None:
    store = _store(tmp_path)
    assert _found(store, range(5)) == set()
    assert store.write(_rows(3, 1))
    assert _found(store, range(5)) == {1, 3}
    assert store.write(_rows(2, 0))
    assert _found(store, range(5)) == {0, 1, 2, 3}
    assert _found(_store(tmp_path), range(5)) == {0, 1, 2, 3}
    assert _found(_store(tmp_path, "b"), range(5)) == set(), "another name, another thing"


def test_numbers_come_back_bit_for_bit(tmp_path: Path) -> None:
    row = np.array([-0.1, 1e-38, -np.inf, 1 / 3], np.float32)
    _store(tmp_path).write({_key(1): row})
    found = _store(tmp_path).get(_key(1))
    assert found is not None
    assert found.tobytes() == row.tobytes()


def test_keys_that_begin_alike_are_told_apart(tmp_path: Path) -> None:
    one, other, third = (b"12345678" + bytes([n] * 24) for n in range(3))
    _store(tmp_path).write({one: np.ones(1, np.float32), other: np.zeros(2, np.float32)})
    store = _store(tmp_path)
    store.write({third[:8] + b"another" + bytes(17): np.zeros(3, np.float32)})
    assert [None if (row := store.get(key)) is None else len(row) for key in (one, other, third)] == [1, 2, None]


def test_nothing_new_writes_no_file(tmp_path: Path) -> None:
    assert _store(tmp_path).write({})
    assert _files(tmp_path) == []


@pytest.mark.parametrize("harm", ["a bit", "the end", "everything", "another name"])
def test_a_damaged_file_is_deleted_and_said_and_never_used(tmp_path: Path, harm: str) -> None:
    store = _store(tmp_path)
    store.write(_rows(4))
    store.write(_rows(5))
    _harm(next(path for path in _files(tmp_path) if b"\x00\x00\x80\x40" in path.read_bytes()), harm)  # float32 4.0
    with pytest.warns(CacheWarning, match="is damaged: it is deleted, and what it held is made again"):
        store = _store(tmp_path)
    assert _found(store, range(9)) == {5}
    assert len(_files(tmp_path)) == 1
    assert _found(_store(tmp_path), range(9)) == {5}


def _harm(file: Path, harm: str) -> None:
    data = bytearray(file.read_bytes())
    if harm == "a bit":
        data[data.index(b"\x00\x00\x80\x40")] ^= 1
    elif harm == "the end":
        del data[-3:]
    elif harm == "everything":
        data.clear()
    if harm == "another name":
        file.rename(file.with_name(f"{'0' * 64}.safetensors"))
    else:
        file.write_bytes(data)


@pytest.mark.parametrize("harm", ["a bit", "the end"])
def test_a_file_that_is_damaged_while_it_is_used_is_noticed_at_the_row(tmp_path: Path, harm: str) -> None:
    store = _store(tmp_path)
    store.write(_rows(4))
    _harm(_files(tmp_path)[0], harm)
    with pytest.warns(CacheWarning, match="damaged"):
        assert store.get(_key(4)) is None
    assert _files(tmp_path) == []


def test_a_file_that_another_process_deleted_is_no_longer_there_and_no_error(tmp_path: Path) -> None:
    store = _store(tmp_path)
    store.write(_rows(4))
    _files(tmp_path)[0].unlink()
    assert store.get(_key(4)) is None


def _tensors(**other: np.ndarray) -> dict[str, np.ndarray]:
    """One row of one number."""
    return {
        "keys": np.zeros((1, 32), np.uint8), "sizes": np.ones(1, np.int64), "checks": np.zeros(1, np.uint32),
        "values": np.zeros(1, np.float32), **other,
    }  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        save({"keys": np.zeros((1, 32), np.uint8)}),
        save(_tensors(keys=np.zeros((1, 8), np.uint8))),
        save(_tensors(keys=np.zeros((2, 32), np.uint8))),
        save(_tensors(sizes=np.full(1, 9))),
        save(_tensors(keys=np.zeros((2, 32), np.uint8), sizes=np.array([-1, 2]), checks=np.zeros(2, np.uint32))),
        save(_tensors(checks=np.zeros(2, np.uint32))),
        save(_tensors(values=np.zeros(1, np.float64))),
        b"",
        b"\xff" * 100,
        (3).to_bytes(8, "little") + b"[1]",
        (2).to_bytes(8, "little") + b"{x",
    ],
)
def test_a_file_of_another_form_is_not_used_whatever_its_name(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / f"{hashlib.sha256(data).hexdigest()}.safetensors").write_bytes(data)
    with pytest.warns(CacheWarning, match="damaged"):
        assert bytes(32) not in _store(tmp_path)


def test_a_pickle_is_no_file_of_ours(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "evil.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    assert _found(_store(tmp_path), range(9)) == set()


WRITER = """
import sys, numpy as np
from pathlib import Path
from truing.models.store import Store
store, first, number = Store(Path(sys.argv[1]), "a", limit=10**9), int(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
for n in range(first, first + number):
    store.write({n.to_bytes(32, "little"): np.full(1000, n, np.float32)})
"""


def _writer(root: Path, first: int, number: int) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", WRITER, str(root), str(first), str(number)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def test_a_writer_killed_at_any_moment_leaves_only_whole_files(tmp_path: Path) -> None:
    process = _writer(tmp_path, 0, 10**6)
    assert process.stdout is not None
    process.stdout.readline()
    while len(list(tmp_path.glob("*/*.safetensors"))) < 5:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    number = len(list(tmp_path.glob("*/*.safetensors")))
    assert number >= 5
    store = _store(tmp_path)  # a warning would be an error
    for n in range(number):
        row = store.get(n.to_bytes(32, "little"))
        assert row is not None
        assert row.tolist() == [float(n)] * 1000


def test_two_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    processes = [_writer(tmp_path, 0, 30), _writer(tmp_path, 20, 30)]
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    store = _store(tmp_path)
    assert all(store.get(n.to_bytes(32, "little")) is not None for n in range(50))
    assert len(_files(tmp_path)) == 50, "what both wrote is one file"


def test_what_nobody_read_for_the_longest_time_makes_room(tmp_path: Path) -> None:
    for age, name in ((30, "old"), (20, "older, but read since"), (10, "young")):
        _store(tmp_path, name).write(_rows(100))
        then = time.time() - age
        for path in (tmp_path / name).iterdir():
            os.utime(path, (then, then))
    size = _files(tmp_path)[0].stat().st_size
    _store(tmp_path, "older, but read since")
    assert _store(tmp_path, "new", limit=3 * size).write(_rows(100))
    assert {path.parent.name for path in _files(tmp_path)} == {"older, but read since", "young", "new"}


def test_a_full_store_stays_within_its_limit_and_says_so_once(tmp_path: Path) -> None:
    store = _store(tmp_path, limit=1000)
    assert store.write(_rows(100))
    with pytest.warns(CacheWarning, match=r"is full: what is kept for this model alone takes 1e-06 GB") as told:
        assert [store.write(_rows(n)) for n in (101, 102)] == [False, False]
    assert len(told) == 1
    assert sum(path.stat().st_size for path in _files(tmp_path)) <= 1000


def test_a_folder_that_cannot_be_written_is_said_and_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = _store(tmp_path / "file")
    with pytest.warns(CacheWarning, match=r"cannot be written \(Not a directory\): nothing is kept"):
        assert not store.write(_rows(1))


def test_drafts_that_nobody_finishes_go_after_an_hour(tmp_path: Path) -> None:
    store = _store(tmp_path)
    store.write(_rows(1))
    for name, age in ((".new.draft", 60), (".abandoned.draft", 7200)):
        draft = tmp_path / "a" / name
        draft.write_bytes(b"half")
        os.utime(draft, (time.time() - age,) * 2)
    store.write(_rows(2))
    assert [path.name for path in _files(tmp_path) if path.suffix == ".draft"] == [".new.draft"]
