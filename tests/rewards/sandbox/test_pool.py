"""What a program may do, and what comes back of it."""

from __future__ import annotations

import math
import os

import pytest

from truing.rewards import sandbox as box
from truing.rewards.sandbox import Limits, Sandbox, SandboxError, UnitTests


def test_a_program_reads_its_input_and_its_output_comes_back(sandbox: Sandbox) -> None:
    outcome = sandbox.run("import sys\nprint(input()[::-1])\nprint('no', file=sys.stderr)", stdin="abc\n")
    assert (outcome.status, outcome.stdout, outcome.stderr, outcome.exit_status) == ("ok", "cba\n", "no\n", 0)
    assert 0 < outcome.seconds < 10
    assert 0 < outcome.cpu_seconds < 5


@pytest.mark.parametrize(
    ("code", "status", "exit_status"),
    [
        ("exit()", "ok", 0),
        ("import sys; sys.exit(3)", "error", 3),
        ("raise SystemExit('words')", "error", 1),
        ("1 / 0", "error", 1),
        ("def", "error", 1),
        ("import os; os.abort()", "killed", -6),
        ("import ctypes; ctypes.string_at(0)", "killed", -11),
    ],
)
def test_how_a_program_ends_is_told(one_sandbox: Sandbox, code: str, status: str, exit_status: int) -> None:
    outcome = one_sandbox.run(code)
    assert (outcome.status, outcome.exit_status) == (status, exit_status)


def test_an_error_shows_the_line_of_the_program_and_nothing_of_ours(one_sandbox: Sandbox) -> None:
    outcome = one_sandbox.run("x = 1\nprint(x / 0)")
    assert 'File "program.py", line 2, in <module>\n    print(x / 0)' in outcome.stderr
    assert "truing" not in outcome.stderr


def test_ordinary_programs_run(sandbox: Sandbox) -> None:
    code = """
import asyncio, collections, dataclasses, datetime, decimal, fractions, hashlib, heapq, io, itertools, json, math
import pickle, random, re, sqlite3, statistics, string, struct, sys, threading, typing, uuid, zlib
import xml.etree.ElementTree

@dataclasses.dataclass
class Point:
    x: int = 1

async def later():
    await asyncio.sleep(0.001)
    return 5

assert pickle.loads(pickle.dumps(Point(3))).x == 3
assert asyncio.run(later()) == 5
assert hashlib.sha256(b"").hexdigest().startswith("e3b0c442")
assert sqlite3.connect(":memory:").execute("select 1 + 1").fetchone() == (2,)
assert json.loads(json.dumps({"a": [1.5, None]})) == {"a": [1.5, None]}
assert open("/dev/null").read() == ""
with open("out.txt", "w") as file:
    file.write("ä")
assert open("out.txt").read() == "ä"
print(sum(math.factorial(i) for i in range(10)), "é")
"""
    outcome = sandbox.run(code)
    assert outcome.status == "ok", outcome.stderr
    assert outcome.stdout == f"{sum(math.factorial(i) for i in range(10))} é\n"


def test_threads_run_to_their_end(one_sandbox: Sandbox) -> None:
    code = "import threading\nthreading.stack_size(1 << 25)\nthreading.Thread(target=lambda: print('thread')).start()"
    if one_sandbox.run("import threading\nthreading.Thread(target=int).start()").status != "ok":
        pytest.skip("no thread limit here, so no threads: root without namespaces")
    assert one_sandbox.run(code).stdout == "thread\n"


def test_one_thread_means_one(one_sandbox: Sandbox) -> None:
    code = "import threading\nthreading.Thread(target=int).start()"
    assert one_sandbox.run(code, limits=Limits(threads=1)).status == "error"


def test_the_same_code_gets_the_same_answer(sandbox: Sandbox) -> None:
    code = "import random\nprint(random.random(), list({'a', 'b', 'c', 'd'}), hash('x'))"
    with Sandbox(workers=1) as other:
        if other.capabilities.safe:
            assert sandbox.run(code).stdout == sandbox.run(code).stdout == other.run(code).stdout


def test_any_text_may_come_in_and_go_out(one_sandbox: Sandbox) -> None:
    assert one_sandbox.run("print(input())", stdin="é☃\x00").stdout == "é☃\x00\n"
    assert one_sandbox.run("print('\udc80')").status == "error"  # no Python can read that
    assert one_sandbox.run("import os\nos.write(1, b'\\xff')").stdout == "�"
    assert one_sandbox.run("print(len(input()))", stdin="x" * 1_000_000).stdout == "1000000\n"


def test_limits_are_positive_and_workers_too() -> None:
    with pytest.raises(SandboxError, match="cpu_seconds = 0"):
        Limits(cpu_seconds=0)
    with pytest.raises(SandboxError, match="0 workers"):
        Sandbox(workers=0)


def test_a_helper_that_is_killed_is_replaced() -> None:
    with Sandbox(workers=1) as made:
        if not made.capabilities.safe:
            pytest.skip("this machine cannot confine untrusted code")
        lane = made._free[0]
        lane.process.kill()
        lane.process.wait()
        with pytest.raises(SandboxError, match="has ended"):
            made.run("print(1)")
        assert made.run("print(1)").stdout == "1\n"


def test_a_closed_sandbox_leaves_no_process_and_no_folder() -> None:
    made = Sandbox(workers=1)
    assert made.capabilities.layers
    lane = made._free[0]
    assert os.path.isdir(lane.scratch)
    made.close()
    assert lane.process.returncode is not None
    assert not os.path.exists(lane.scratch)


def test_results_come_in_order() -> None:
    with Sandbox(workers=2) as made:
        if not made.capabilities.safe:
            pytest.skip("this machine cannot confine untrusted code")
        assert [o.stdout for o in made.map(made.run, [f"print({i})" for i in range(5)])] == [f"{i}\n" for i in range(5)]


def test_the_module_has_a_sandbox_of_its_own() -> None:
    if not box.capabilities().safe:
        pytest.skip("this machine cannot confine untrusted code")
    assert box.run("print(1)").stdout == "1\n"
    assert box.check("def f(): return 1", UnitTests(each=("assert f() == 1",))).all_passed
    assert str(box.capabilities()).startswith("sandbox: safe (landlock")
