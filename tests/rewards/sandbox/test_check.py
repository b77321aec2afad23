"""Tests decide, and the code that is tested cannot decide for them."""

from __future__ import annotations

import pytest

from truing.rewards.sandbox import Limits, Sandbox, UnitTests

SQUARE = UnitTests(each=("assert square(2) == 4", "assert square(-3) == 9", "assert square(0) == 0"))
SHORT = Limits(cpu_seconds=1, wall_seconds=1.0)


def test_right_code_passes_every_test(sandbox: Sandbox) -> None:
    verdict = sandbox.check("def square(x): return x * x", SQUARE)
    assert (verdict.passed, verdict.total, verdict.all_passed, verdict.problem) == (3, 3, True, "")
    assert verdict.outcome.status == "ok"


def test_wrong_code_stops_at_the_first_failure_unless_every_test_is_asked_for(one_sandbox: Sandbox) -> None:
    twice = "def square(x): return x + x"  # right for 2 and 0
    assert [one_sandbox.check(twice, SQUARE, every=every).passed for every in (False, True)] == [1, 2]
    verdict = one_sandbox.check(twice, SQUARE)
    assert (verdict.total, verdict.all_passed) == (3, False)
    assert verdict.problem == "assert square(-3) == 9: AssertionError:"


FORGERIES = {
    "an exit status of 0": "import os\ndef square(x): os._exit(0)",
    "a polite exit": "import sys\ndef square(x): sys.exit(0)",
    "an exit while it is defined": "import os\nos._exit(0)",
    "a polite exit while it is defined": "raise SystemExit(0)",
    "words of success": "import os\nprint('{\"passed\": true}\\n' * 9, flush=True)\ndef square(x): os._exit(0)",
    "another assert": "import builtins\nbuiltins.AssertionError = None\ndef square(x): return 5",
    "an error that is no error": "class AssertionError(BaseException): pass\ndef square(x): raise AssertionError",
    "something that equals everything": (
        "class Any:\n    def __eq__(self, other): return True\n    def __ne__(self, other): return False\n"
        "def square(x): return Any()"
    ),
    "an int that equals everything": (
        "class Any(int):\n    def __eq__(self, other): return True\n    __hash__ = int.__hash__\n"
        "def square(x): return Any(7)"
    ),
    "a str that equals everything": (
        "class Any(str):\n    def __eq__(self, other): return True\n    __hash__ = str.__hash__\n"
        "def square(x): return Any()"
    ),
    "a list that equals everything": (
        "class Any(list):\n    def __eq__(self, other): return True\ndef square(x): return Any()"
    ),
    "something that looks like an int": (
        "class Any:\n    __class__ = int\n    def __eq__(self, other): return True\n    def __int__(self): return 7\n"
        "def square(x): return Any()"
    ),
    # These know what to answer as soon as they have seen the tests. (Nothing of theirs may hold what they look for.)
    "the frame of the test": (
        "import sys\ndef sought(): return ' squ'.join(['assert', 'are(2)'])\n"
        "def square(x):\n    frame = sys._getframe()\n    while frame:\n"
        "        if sought() in repr(frame.f_locals): return x * x\n        frame = frame.f_back\n"
    ),
    "everything in memory": (
        "import gc\ndef sought(): return ' squ'.join(['assert', 'are(2)'])\n"
        "def square(x):\n    for thing in gc.get_objects():\n"
        "        if isinstance(thing, (dict, list, tuple)) and sought() in repr(thing): return x * x\n"
    ),
    "another exec": "import builtins\nbuiltins.exec = builtins.compile = lambda *a, **k: None\ndef square(x): return 1",
    "other json": (
        'import json\njson.dumps = lambda *a, **k: \'{"done": true, "passed": true}\'\ndef square(x): return 1'
    ),
    "other system calls": "import os\nreal = os.write\nos.write = lambda fd, data: len(data)\ndef square(x): return 4",
    "nonsense on the line": "import os\ndef square(x): os.write(4, bytes(1 << 16))",
    "a message without end": "import os\ndef square(x): os.write(4, (1 << 62).to_bytes(8, 'big'))",
    "a message that is no answer": (
        "import os\ndef square(x):\n    data = b'[1, 2]'\n    os.write(4, len(data).to_bytes(8, 'big') + data)"
    ),
    "a report of its own": (
        'import os\nfor fd in range(5, 100):\n    try: os.write(fd, b\'{"passed": true}\\n{"done": true}\\n\')\n'
        "    except OSError: pass\ndef square(x): return 5"
    ),
    "a thread that waits": (
        "import threading, os, time\ndef late():\n    time.sleep(0.2)\n    os._exit(0)\n"
        "threading.Thread(target=late).start()\ndef square(x): time.sleep(1)"
    ),
    "a tracer": "import sys\nsys.settrace(lambda *a: None)\nsys.setprofile(print)\ndef square(x): return None",
    "no function at all": "square = None",
    "nothing": "",
    "no Python": "def square(x) return x",
}


@pytest.mark.parametrize("what", FORGERIES)
def test_a_verdict_is_not_forged_by(one_sandbox: Sandbox, what: str) -> None:
    verdict = one_sandbox.check(FORGERIES[what], SQUARE, limits=SHORT, every=True)
    assert verdict.passed == 0, verdict
    assert verdict.total == 3
    assert verdict.problem
    assert not one_sandbox.check(FORGERIES[what], SQUARE, limits=SHORT).all_passed


def test_a_test_that_swallows_everything_does_not_hide_that_the_code_has_died(one_sandbox: Sandbox) -> None:
    tests = UnitTests(each=("try:\n    f()\nexcept BaseException:\n    pass", "assert True"))
    assert one_sandbox.check("import os\ndef f(): os._exit(0)", tests, every=True).passed == 0


def test_the_process_of_the_code_has_two_pipes_and_nothing_more(sandbox: Sandbox) -> None:
    code = """
import os
def held():
    found = []
    for fd in range(1000):
        try:
            os.fstat(fd)
            found.append(fd)
        except OSError:
            pass
    return found
"""
    assert sandbox.check(code, UnitTests(each=("assert held() == [0, 1, 2, 3, 4], held()",))).problem == ""


def test_tests_are_confined_too(sandbox: Sandbox) -> None:
    for attack in ("open('/etc/passwd')", "open('x', 'w')", "__import__('socket').socket()", "__import__('os').fork()"):
        tests = UnitTests(each=(f"try:\n    {attack}\nexcept OSError:\n    pass\nelse:\n    assert False",))
        verdict = sandbox.check("", tests)
        assert verdict.all_passed, (attack, verdict.problem)


def test_tests_that_write_nonsense_into_the_report_fail(one_sandbox: Sandbox) -> None:
    for said in (
        "b'[[[\\n'",
        "b'[1]\\n'",
        'b\'{"planned": "x"}\\n\'',
        "b'{\"passed\": true\\n'",
        "b'[' * 10 ** 5 + b'\\n'",
    ):
        tests = UnitTests(each=(f"import os; os.write(5, {said}); os._exit(0)",))
        verdict = one_sandbox.check("", tests)
        assert not verdict.all_passed, said
        assert "cannot be read" in verdict.problem


def test_tests_that_never_end_are_ended_and_what_passed_before_is_known(one_sandbox: Sandbox) -> None:
    tests = UnitTests(each=("assert f(1) == 1", "assert f(2) == 2", "assert f(3) == 3"))
    code = "def f(x):\n    while x == 2: pass\n    return x"
    verdict = one_sandbox.check(code, tests, limits=Limits(cpu_seconds=1, wall_seconds=2.0), every=True)
    assert (verdict.passed, verdict.total) == (1, 3)
    assert verdict.outcome.status == "timeout"


def test_a_file_of_tests_counts_each_assert_that_says_something(one_sandbox: Sandbox) -> None:
    file = """
def check(candidate):
    assert True, "a word of welcome, worth nothing"
    assert candidate(1) == 1
    for i in range(3):
        assert candidate(i) == i
    assert candidate(2) == 3, "no"
"""
    tests = UnitTests(file=file, entry_point="same")
    verdict = one_sandbox.check("def same(x): return x", tests, every=True)
    assert (verdict.passed, verdict.total) == (4, 5)
    assert "assert candidate(2) == 3" in verdict.problem
    assert one_sandbox.check("def same(x): return x", tests).total == 1
    assert one_sandbox.check("def other(x): return x", tests, every=True).problem.startswith("NameError")


def test_functions_of_tests_run_and_may_import_the_solution(one_sandbox: Sandbox) -> None:
    file = """
from solution import add

def test_add():
    assert add(1, 2) == 3

def test_minus():
    assert add(1, -1) == 1
"""
    verdict = one_sandbox.check("def add(a, b): return a + b", UnitTests(file=file), every=True)
    assert (verdict.passed, verdict.total) == (1, 2)


def test_a_test_without_an_assert_passes_where_nothing_is_raised(one_sandbox: Sandbox) -> None:
    tests = UnitTests(file="def check(f):\n    if f(1) != 2:\n        raise ValueError('no')\n", entry_point="f")
    assert one_sandbox.check("def f(x): return 2", tests, every=True).all_passed
    assert one_sandbox.check("def f(x): return 3", tests, every=True).problem == "ValueError: no"


def test_objects_of_the_code_can_be_made_and_used_by_tests(one_sandbox: Sandbox) -> None:
    code = """
class Node:
    def __init__(self, value):
        self.value, self.left = value, None
    def __len__(self): return 1 + (len(self.left) if self.left else 0)
    def __eq__(self, other): return self.value == other.value
    def __lt__(self, other): return self.value < other.value
    def __iter__(self): return iter([self.value])
    def __getitem__(self, i): return [self.value][i]
def total(node): return node.value + (total(node.left) if node.left else 0)
def numbers():
    yield 1
    yield (2, 3)
"""
    each = (
        "root = Node(1)\nroot.left = Node(2)\nassert total(root) == 3 and len(root) == 2",
        "assert root.left.value == 2",
        "assert Node(1) == Node(1) and Node(1) != Node(2) and Node(1) < Node(2)",
        "assert list(Node(7)) == [7] and Node(7)[0] == 7",
        "assert list(numbers()) == [1, (2, 3)]",
        "assert total([Node(1)][0]) == 1",
    )
    verdict = one_sandbox.check(code, UnitTests(each=each), every=True)
    assert verdict.passed == len(each), verdict.problem


def test_exceptions_cross_as_what_they_are(one_sandbox: Sandbox) -> None:
    code = """
class Mine(KeyError): pass
def f(kind):
    if kind == 1: raise ValueError("one")
    if kind == 2: raise Mine("two")
    if kind == 3: b"\\xff".decode()
    raise SystemExit
"""
    each = tuple(
        f"try:\n    f({i})\nexcept {name} as error:\n    assert {text!r} in str(error)\nelse:\n    assert False"
        for i, name, text in ((1, "ValueError", "one"), (2, "KeyError", "two"), (3, "ValueError", "utf-8"))
    )
    verdict = one_sandbox.check(code, UnitTests(each=each), every=True)
    assert verdict.passed == 3, verdict.problem


def test_an_end_of_iteration_does_not_end_a_test(one_sandbox: Sandbox) -> None:
    tests = UnitTests(each=("assert all(map(lambda x: f(x) == 1, [1, 2]))", "assert list(map(f, [1])) == []"))
    assert one_sandbox.check("def f(x): raise StopIteration", tests, every=True).passed == 0


def test_arguments_that_are_changed_in_place_change_for_the_test(one_sandbox: Sandbox) -> None:
    code = "def sort(x): x.sort()\ndef add(d): d['a'] = 1"
    each = ("x = [3, 1, 2]\nassert sort(x) is None and x == [1, 2, 3]", "d = {}\nadd(d)\nassert d == {'a': 1}")
    assert one_sandbox.check(code, UnitTests(each=each)).all_passed


def test_code_may_go_on_where_the_prompt_ends(one_sandbox: Sandbox) -> None:
    preamble = 'import math\n\ndef helper(x):\n    return x + 1\n\ndef f(x: int) -> int:\n    """Says more."""\n'
    tests = UnitTests(file="def check(c):\n    assert c(3) == helper(3)\n", preamble=preamble, entry_point="f")
    for code in (
        "    return helper(x)\n",
        "return helper(x)\n",
        "y = x\n    return math.floor(helper(y))",
        "def f(x):\n    return helper(x)",
        preamble + "    return x + 1",
    ):
        assert one_sandbox.check(code, tests).all_passed, code
    cheat = "def f(x): return 'me'\ndef helper(x): return 'me'"  # the tests call the helper that the prompt has
    assert not one_sandbox.check(cheat, tests).all_passed


def test_tests_see_the_modules_that_the_code_imports(one_sandbox: Sandbox) -> None:
    tests = UnitTests(each=("assert math.isclose(f(), math.pi)",))
    assert one_sandbox.check("import math\ndef f(): return math.pi", tests).all_passed


def test_a_setup_that_fails_is_the_problem(one_sandbox: Sandbox) -> None:
    verdict = one_sandbox.check("", UnitTests(each=("assert True",), setup="import nothing_like_it"))
    assert verdict.problem.startswith("test setup: ModuleNotFoundError")
    assert (verdict.passed, verdict.total) == (0, 1)


def test_no_tests_are_never_passed(one_sandbox: Sandbox) -> None:
    verdict = one_sandbox.check("x = 1", UnitTests())
    assert (verdict.passed, verdict.total, verdict.all_passed) == (0, 1, False)


def test_what_is_printed_by_the_code_is_known(one_sandbox: Sandbox) -> None:
    verdict = one_sandbox.check("print('hello')\ndef f(): print('there')", UnitTests(each=("f()",)))
    assert verdict.outcome.stdout == "hello\nthere\n"
