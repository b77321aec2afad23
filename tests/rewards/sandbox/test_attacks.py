"""Code that wants out. Every test says what must not happen, not what stops it."""

from __future__ import annotations

import os
import platform
import socket
import threading
import time
from pathlib import Path

import pytest

import truing
from truing.rewards.sandbox import Limits, Outcome, Sandbox, SandboxError, UnitTests

EVERYTHING = ("seccomp", "landlock", "namespaces", "bubblewrap", "user")
SHORT = Limits(cpu_seconds=1, wall_seconds=10.0)
SECRET = "the-secret-of-the-user-4711"


def refused(outcome: Outcome) -> bool:
    """An attack prints REACHED where it got what it wanted, and `refused` where an error stopped it."""
    assert "REACHED" not in outcome.stdout, outcome
    return outcome.status == "killed" or outcome.stdout.strip().split("\n")[-1] == "refused"


def attempt(body: str) -> str:
    """A program that tries something and says how that went."""
    inner = "".join(f"    {line}\n" for line in body.strip().split("\n"))
    caught = "except (OSError, ValueError):\n    print('refused')\n"
    return f"import os, sys, socket, ctypes, time\ntry:\n{inner}    print('REACHED')\n{caught}"


FORBIDDEN = {
    "an internet socket": "socket.socket(socket.AF_INET, socket.SOCK_STREAM)",
    "an IPv6 socket": "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)",
    "a raw socket": "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
    "a netlink socket": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "a unix socket": "socket.socket(socket.AF_UNIX)",
    "a datagram pair, which can send anywhere": "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)",
    "a connection": "socket.create_connection(('127.0.0.1', 22), 1)",
    "descriptors in messages": "a, b = socket.socketpair()\na.sendmsg([b'x'])",
    "fork": "os.fork()",
    "a program": "os.execv('/bin/sh', ['sh', '-c', 'echo REACHED'])",
    "a subprocess": "import subprocess\nsubprocess.run(['/bin/echo', 'REACHED'])",
    "a spawned program": "os.posix_spawn('/bin/echo', ['echo', 'REACHED'], {})",
    "a setuid program": "os.execv('/bin/su', ['su', '-c', 'id'])",
    "a pseudo terminal": "os.openpty()",
    "memory files": "os.memfd_create('x')",
    "another root": "os.chroot('/')",
    "another user": "os.setuid(0 if os.getuid() else 1)",
    "another limit": "import resource\nresource.setrlimit(resource.RLIMIT_NPROC, (9999, 9999))",
    "another priority": "os.setpriority(os.PRIO_PROCESS, 0, -20)",
    "a device": "os.mknod('disk', 0o60600, os.makedev(254, 0))",
    "a named pipe": "os.mkfifo('pipe')",
    "a kill of everybody": "os.kill(-1, 9)",
    "a kill of its parent": "os.kill(os.getppid(), 9)",
    "a kill of process 1": "os.kill(1, 9)",
    "a kill of its group": "os.killpg(os.getpgid(os.getppid()), 9)",
    "a signal through a file": "import fcntl\nr, w = os.pipe()\nfcntl.fcntl(r, fcntl.F_SETOWN, os.getppid())",
    "a handle of a process": "os.pidfd_open(os.getppid())",
    "a foreign mode": "os.chmod('/', 0o777)",
    "a foreign time stamp": "os.utime('/', (0, 0))",
    "a foreign owner": "os.chown('/', 0, 0)",
    "a foreign attribute": "os.setxattr('/', 'user.x', b'1')",
    "a symbolic link": "os.symlink('/etc/passwd', 'link')\nprint(open('link').read())",
    "a hard link": "os.link(os.__file__, 'link')",
    "shared memory": "open('/dev/shm/x', 'w')",
    "the kernel's memory": "open('/dev/mem', 'rb').read(1)",
    "the kernel's settings": "open('/proc/sys/kernel/core_pattern', 'w').write('|/tmp/x')",
    "its own environment file": "open('/proc/self/environ', 'rb').read()",
    "its own memory file": "open('/proc/self/mem', 'rb').read(1)",
    "the environment of process 1": "open('/proc/1/environ', 'rb').read()",
    "the environment of its parent": "open(f'/proc/{os.getppid()}/environ', 'rb').read()",
    "a list of processes": "os.listdir('/proc')",
    "the users of the machine": "open('/etc/passwd').read()",
    # There may be a folder of that name, on the way to the standard library; not with the user's files in it.
    "the home folder": f"if len(os.listdir({str(Path.home())!r})) < 2: raise OSError",
    "the root folder's files": "open('/etc/hostname').read()",
    "Truing's own source": f"open({truing.__file__!r}).read()",
    "installed packages": f"os.listdir({str(Path(pytest.__file__).parent.parent)!r}) or open({pytest.__file__!r})",
    "an emptied standard library": "os.close(os.open(os.__file__, os.O_RDONLY | os.O_TRUNC))",
    "a changed standard library": "open(os.__file__, 'a')",
    "a removed standard library": "os.unlink(os.__file__)",
    "a nameless file": "os.open('.', os.O_TMPFILE | os.O_RDWR)",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_code_cannot_have(sandbox: Sandbox, what: str) -> None:
    assert refused(sandbox.run(attempt(FORBIDDEN[what]), limits=SHORT))


@pytest.mark.parametrize(
    "what",
    ["an internet socket", "a unix socket", "fork", "a subprocess", "memory files", "the users of the machine",
     "a list of processes", "Truing's own source", "a signal through a file", "a named pipe", "a symbolic link"],
)  # fmt: skip
def test_without_a_sandbox_the_same_attempt_succeeds(what: str) -> None:
    with Sandbox(workers=1, unsafe=True, without=EVERYTHING) as bare:
        assert "REACHED" in bare.run(attempt(FORBIDDEN[what])).stdout


RAW = {
    # x86-64, ARM64; arguments that would succeed, or fail otherwise than with EPERM and ENOSYS, were it allowed
    "ptrace": (101, 117, "0, 0, 0, 0"),
    "process_vm_readv": (310, 270, "os.getppid(), 0, 0, 0, 0, 0"),
    "mount": (165, 40, "0, 0, 0, 0, 0"),
    "pivot_root": (155, 41, "0, 0"),
    "unshare a user namespace": (272, 97, "0x10000000"),
    "setns": (308, 268, "0, 0"),
    "clone a process": (56, 220, "17, 0, 0, 0, 0"),
    "clone3": (435, 435, "0, 0"),
    "io_uring_setup": (425, 425, "8, ctypes.create_string_buffer(200)"),
    "userfaultfd": (323, 282, "1"),
    "keyctl": (250, 219, "0, -3, 1"),
    "add_key": (248, 217, "b'user', b'x', b'y', 1, -3"),
    "bpf": (321, 280, "0, 0, 0"),
    "perf_event_open": (298, 241, "0, 0, 0, 0, 0"),
    "init_module": (175, 105, "0, 0, 0"),
    "kexec_load": (246, 104, "0, 0, 0, 0"),
    "reboot": (169, 142, "0, 0, 0, 0"),
    "memfd_secret": (447, 447, "0"),
    "shmget": (29, 194, "0, 4096, 0o1600"),
    "msgget": (68, 186, "0, 0o1600"),
    "semget": (64, 190, "0, 1, 0o1600"),
    "mq_open": (240, 180, "b'x', 0o102, 0o600, 0"),
    "name_to_handle_at": (303, 264, "-100, b'/', 0, 0, 0"),
    "open_by_handle_at": (304, 265, "-100, 0, 0"),
    "quotactl": (179, 60, "0, 0, 0, 0"),
    "swapon": (167, 224, "0, 0"),
    "settimeofday": (164, 170, "0, 0"),
    "sethostname": (170, 161, "b'x', 1"),
    "syslog": (103, 116, "2, 0, 0"),
    "personality": (135, 92, "0x40000"),
    "prctl that survives its parent": (157, 167, "1, 0, 0, 0, 0"),
    "prctl that opens its memory": (157, 167, "4, 1, 0, 0, 0"),
    "tkill": (200, 130, "1, 9"),
    "rt_sigqueueinfo": (129, 138, "os.getppid(), 9, ctypes.create_string_buffer(128)"),
    "truncate": (76, 45, "os.__file__.encode(), 0"),
    "openat2": (437, 437, "-100, b'/etc/passwd', ctypes.create_string_buffer(24), 24"),
    "execveat": (322, 281, "-100, b'/bin/sh', 0, 0, 0"),
    "fanotify_init": (300, 262, "0, 0"),
    "pidfd_getfd": (438, 438, "0, 0, 0"),
    "seccomp": (317, 277, "0, 0, 0"),
    "a system call that no kernel has yet": (9999, 9999, "0"),
}


@pytest.mark.parametrize("what", RAW)
def test_a_raw_system_call_is_refused(sandbox: Sandbox, what: str) -> None:
    numbers, arguments = RAW[what][:2], RAW[what][2]
    number = numbers[platform.machine() == "aarch64"]
    code = f"""
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
result = libc.syscall(ctypes.c_long({number}), *[ctypes.c_long(a) if isinstance(a, int) else a for a in ({arguments},)])
assert result == -1 and ctypes.get_errno() in (1, 38), (result, ctypes.get_errno())
"""
    outcome = sandbox.run(code, limits=SHORT)
    assert outcome.status == "ok", outcome.stderr


@pytest.mark.skipif(platform.machine() != "x86_64", reason="x86-64 has three tables of system calls")
@pytest.mark.parametrize("number", [41, 0x40000000 + 41, 0x40000000 + 0, 0x40000000 + 59])
def test_the_other_tables_of_system_calls_are_no_way_round(sandbox: Sandbox, number: int) -> None:
    code = f"import ctypes\nlibc = ctypes.CDLL(None)\nprint(libc.syscall(ctypes.c_long({number}), 2, 1, 0))"
    assert sandbox.run(code, limits=SHORT).stdout.strip() == "-1"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="machine code of x86-64")
def test_32_bit_system_calls_end_the_program(sandbox: Sandbox) -> None:
    # mov eax, 20 (getpid of the i386 table); int 0x80; ret
    code = """
import ctypes, mmap
page = mmap.mmap(-1, 4096, prot=7)
page.write(bytes.fromhex("b814000000cd80c3"))
function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
print("REACHED", function())
"""
    outcome = sandbox.run(code, limits=SHORT)
    assert outcome.status == "killed"
    assert "REACHED" not in outcome.stdout


def test_a_file_of_the_user_cannot_be_read_or_written(sandbox: Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text(SECRET)
    secret.chmod(0o666)
    tmp_path.chmod(0o777)
    for body in (f"print(open({str(secret)!r}).read())", f"open({str(secret)!r}, 'w')", f"os.unlink({str(secret)!r})"):
        assert refused(sandbox.run(attempt(body), limits=SHORT))
    assert refused(
        sandbox.run(attempt(f"os.rename({str(secret)!r}, 'mine')\nprint(open('mine').read())"), limits=SHORT)
    )
    assert refused(sandbox.run(attempt(f"open({str(tmp_path / 'new')!r}, 'w')"), limits=SHORT))
    assert refused(sandbox.run(attempt(f"os.chdir({str(tmp_path)!r})\nprint(os.listdir())"), limits=SHORT))
    assert secret.read_text() == SECRET
    assert [p.name for p in tmp_path.iterdir()] == ["secret.txt"]


def test_paths_with_dots_lead_nowhere(sandbox: Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text(SECRET)
    assert refused(sandbox.run(attempt(f"print(open('../' * 20 + {str(secret)!r}).read())"), limits=SHORT))


def test_the_environment_of_the_trainer_does_not_come_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", SECRET)
    with Sandbox(workers=1) as fresh:
        if not fresh.capabilities.safe:
            pytest.skip("this machine cannot confine untrusted code")
        code = """
import ctypes, os
print(dict(os.environ))
environ, i = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ"), 0
while environ[i]:
    print(environ[i])
    i += 1
"""
        outcome = fresh.run(code)
    assert outcome.status == "ok", outcome.stderr
    assert SECRET not in outcome.stdout
    assert "HOME" not in outcome.stdout


def test_no_descriptor_is_open_but_the_standard_streams(sandbox: Sandbox) -> None:
    leak = os.open(__file__, os.O_RDONLY)
    os.set_inheritable(leak, True)
    code = """
import os
open_ = []
for fd in range(70000):
    try:
        os.fstat(fd)
    except OSError:
        continue
    open_.append(fd)
print(open_)
"""
    assert sandbox.run(code).stdout.strip() == "[0, 1, 2]"
    os.close(leak)


def test_an_abstract_unix_socket_of_the_user_cannot_be_reached(sandbox: Sandbox) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0truing-test")
        server.listen()
        assert refused(
            sandbox.run(attempt("s = socket.socket(socket.AF_UNIX)\ns.connect('\\0truing-test')"), limits=SHORT)
        )


def test_a_server_on_this_machine_cannot_be_reached(sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        assert refused(sandbox.run(attempt(f"socket.create_connection({address!r}, 1)"), limits=SHORT))
        server.settimeout(0.05)
        with pytest.raises(TimeoutError):
            server.accept()


def test_an_endless_loop_ends(one_sandbox: Sandbox) -> None:
    outcome = one_sandbox.run("while True: pass", limits=SHORT)
    assert outcome.status == "timeout"
    assert outcome.cpu_seconds < 2.5


def test_a_loop_that_ignores_the_polite_signal_ends(one_sandbox: Sandbox) -> None:
    code = "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass"
    assert one_sandbox.run(code, limits=Limits(cpu_seconds=1, wall_seconds=20)).status == "timeout"


def test_sleeping_ends_by_the_clock(sandbox: Sandbox) -> None:
    start = time.monotonic()
    outcome = sandbox.run("import time\nprint('here', flush=True)\ntime.sleep(60)", limits=Limits(wall_seconds=0.5))
    assert outcome.status == "timeout"
    assert outcome.stdout == "here\n"
    assert time.monotonic() - start < 5


def test_a_regular_expression_that_backtracks_ends(one_sandbox: Sandbox) -> None:
    code = "import re\nre.match(r'(a+)+$', 'a' * 60 + 'b')"
    assert one_sandbox.run(code, limits=SHORT).status == "timeout"


def test_a_fork_bomb_makes_no_process(sandbox: Sandbox) -> None:
    code = """
import os
made = 0
for _ in range(1000):
    try:
        if os.fork() == 0:
            os.pause()
        made += 1
    except OSError:
        pass
print(made)
"""
    outcome = sandbox.run(code, limits=SHORT)
    assert outcome.status != "ok" or outcome.stdout.strip() == "0"


def test_threads_are_counted(sandbox: Sandbox) -> None:
    code = """
import threading
wait = threading.Event()
made = 0
try:
    for _ in range(1000):
        threading.Thread(target=wait.wait, daemon=True).start()
        made += 1
except RuntimeError:
    pass
print(made)
"""
    made = int(sandbox.run(code, limits=Limits(threads=4, memory=1 << 32)).stdout)
    assert made <= 8


def test_threads_without_a_stack_are_counted_too(sandbox: Sandbox) -> None:
    # Memory does not bound these: pthread_create asks for one page each.
    code = """
import _thread, threading, time
threading.stack_size(1 << 15)
made = 0
try:
    for _ in range(3000):
        _thread.start_new_thread(time.sleep, (9,))
        made += 1
except RuntimeError:
    pass
print(made, flush=True)
import os
os._exit(0)
"""
    assert int(sandbox.run(code, limits=Limits(threads=4)).stdout) <= 8


def test_a_daemon_that_holds_the_output_open_delays_nothing(sandbox: Sandbox) -> None:
    code = """
import os, time
print("started", flush=True)
try:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(60)
except OSError:
    pass
"""
    start = time.monotonic()
    assert sandbox.run(code).stdout == "started\n"
    assert time.monotonic() - start < 5


def test_the_helper_outlives_whoever_shoots_at_it(sandbox: Sandbox) -> None:
    code = f"""
import os, signal
for target in (os.getppid(), 1, 0, -1, -os.getpgid(0), {os.getpid()}, os.getsid(0)):
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP):
        if target != os.getpid():
            try:
                os.kill(target, number)
            except OSError:
                pass
print("done")
"""
    sandbox.run(code, limits=SHORT)
    assert sandbox.run("print(1)").stdout == "1\n"


def test_memory_runs_out_inside_before_it_does_outside(sandbox: Sandbox) -> None:
    limits = Limits(cpu_seconds=2, wall_seconds=10, memory=128 << 20)
    grown = "x = []\ntry:\n    while True: x.append(bytearray(1 << 20))\nexcept MemoryError:\n    print(len(x))"
    assert 64 < int(sandbox.run(grown, limits=limits).stdout) <= 128
    mapped = grown.replace("bytearray(1 << 20)", "__import__('mmap').mmap(-1, 1 << 20)").replace(
        "MemoryError", "OSError"
    )
    assert 64 < int(sandbox.run(mapped, limits=limits).stdout) <= 128
    assert sandbox.run("bytearray(1 << 30)", limits=limits).stderr.endswith("MemoryError\n")


def test_bombs_that_the_interpreter_parses_stay_inside(one_sandbox: Sandbox) -> None:
    for code in ("(" * 100_000, "-" * 200_000 + "1", "x = " + "[" * 5000 + "]" * 5000, "a" + ".b" * 100_000):
        assert one_sandbox.run(code, limits=SHORT).status != "ok"
    assert one_sandbox.run("print(2)").stdout == "2\n"


def test_recursion_ends(one_sandbox: Sandbox) -> None:
    deep = "import sys\nsys.setrecursionlimit(10 ** 9)\ndef f(): f()\nf()"
    assert one_sandbox.run("def f(): f()\nf()").status == "error"
    assert one_sandbox.run(deep, limits=SHORT).status in ("error", "killed", "timeout")


def test_an_output_flood_is_cut(one_sandbox: Sandbox) -> None:
    limits = Limits(cpu_seconds=2, output=1000, disk=100_000)
    outcome = one_sandbox.run("import sys\nwhile True: sys.stdout.write('x' * 1000)", limits=limits)
    assert outcome.status == "output"
    assert outcome.stdout == "x" * 1000
    assert one_sandbox.run("print('y' * 999)", limits=limits).status == "ok"
    assert one_sandbox.run("import sys\nprint('y' * 2000, file=sys.stderr)", limits=limits).status == "output"


def test_a_disk_flood_ends(sandbox: Sandbox) -> None:
    code = """
import os
size = 0
try:
    for i in range(10 ** 6):
        with open(str(i), "wb") as file:
            size += file.write(bytes(1 << 20))
except OSError:
    pass
print(size)
"""
    outcome = sandbox.run(code, limits=Limits(disk=4 << 20, cpu_seconds=3))
    assert outcome.status == "disk" or int(outcome.stdout) <= 4 << 20
    sparse = "f = open('x', 'wb')\nf.truncate(1 << 40)\nprint('REACHED')"
    assert "REACHED" not in sandbox.run(sparse, limits=SHORT).stdout


def test_a_flood_of_empty_files_ends(sandbox: Sandbox) -> None:
    code = "import time\nfor i in range(10 ** 9):\n    open(str(i), 'w').close()"
    outcome = sandbox.run(code, limits=Limits(cpu_seconds=3, wall_seconds=10))
    assert outcome.status in ("disk", "error")
    assert sandbox.run("import os\nprint(os.listdir('.'))").stdout == "[]\n"


def test_the_scratch_folder_is_writable_and_empty_again_in_the_next_run(sandbox: Sandbox) -> None:
    code = "open('a', 'w').write('x')\nprint(open('a').read())"
    assert sandbox.run(code).stdout == "x\n"
    assert sandbox.run("import os\nprint(os.listdir('.'))").stdout == "[]\n"


def test_a_run_leaves_nothing_for_the_next_one(sandbox: Sandbox) -> None:
    poison = "import builtins, json, sys\nbuiltins.print = None\njson.dumps = None\nsys.modules.clear()\nopen('a', 'w')"
    sandbox.run(poison)
    assert sandbox.run("import json\nprint(json.dumps([1]))").stdout == "[1]\n"


def test_two_runs_at_once_do_not_see_each_other() -> None:
    code = "import os, time\nopen('mine-%s', 'w')\ntime.sleep(0.3)\nprint(sorted(os.listdir('.')))"
    with Sandbox(workers=2) as two:
        if not two.capabilities.safe:
            pytest.skip("this machine cannot confine untrusted code")
        found = two.map(lambda i: two.run(code % i).stdout.strip(), [1, 2])
    assert found == ["['mine-1']", "['mine-2']"]


def test_standard_input_cannot_be_made_to_hang(one_sandbox: Sandbox) -> None:
    assert one_sandbox.run("print(repr(input()))", stdin="").stderr.endswith("EOFError: EOF when reading a line\n")


def test_nothing_says_that_a_program_did_well_but_its_output(sandbox: Sandbox) -> None:
    outcome = sandbox.run("import os\nprint('{\"passed\": true}', flush=True)\nos._exit(0)")
    assert (outcome.status, outcome.stdout) == ("ok", '{"passed": true}\n')


def test_broken_code_cannot_make_the_sandbox_look_broken(sandbox: Sandbox) -> None:
    shout = (
        "import os\nfor fd in range(3, 300):\n    try: os.write(fd, b'OSError: no jail')\n    except OSError: pass\n"
    )
    code = shout + "os._exit(1)"
    assert sandbox.run(code).status == "error"  # and no SandboxError
    assert not sandbox.check(code, UnitTests(each=("assert f() == 1",))).all_passed


def test_a_run_stops_with_the_trainer(tmp_path: Path) -> None:
    import signal
    import subprocess
    import sys

    code = (
        "from truing.rewards.sandbox import run, Limits\n"
        "run('import time; time.sleep(3600)', limits=Limits(wall_seconds=3600))\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], start_new_session=True, stderr=subprocess.PIPE) as trainer:
        marker = f"{trainer.pid}"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and len(helpers_of(trainer.pid)) < 2:
            if trainer.poll() is not None:
                pytest.skip("this machine cannot confine untrusted code")
            time.sleep(0.05)
        running = helpers_of(trainer.pid)
        assert len(running) >= 2, marker
        trainer.send_signal(signal.SIGKILL)
        trainer.wait()
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{pid}").exists() for pid in running) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [pid for pid in running if Path(f"/proc/{pid}").exists()] == []


def helpers_of(pid: int) -> list[int]:
    """All processes below one."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
    found = [pid]
    for known in found:
        found += [child for child, parent in parents.items() if parent == known]
    return found[1:]


def test_where_it_is_not_safe_it_refuses_and_says_how_to_insist() -> None:
    with Sandbox(workers=1, without=("seccomp",)) as bare:
        with pytest.raises(SandboxError, match="no safe way to run code here .*seccomp: left out as asked") as caught:
            bare.run("print(1)")
        assert "unsafe = true" in str(caught.value)
        assert not bare.capabilities.safe
        assert "NOT SAFE" in str(bare.capabilities)
    with Sandbox(workers=1, without=("landlock", "namespaces")) as bare, pytest.raises(SandboxError, match="landlock"):
        bare.check("", UnitTests(each=("assert 1",)))


def test_who_insists_gets_what_there_is() -> None:
    with Sandbox(workers=1, unsafe=True, without=EVERYTHING) as bare:
        assert bare.capabilities.layers == ("rlimits",)
        assert bare.run("print(1)").stdout == "1\n"
        assert bare.run("while True: pass", limits=SHORT).status == "timeout"
        assert bare.check("def f(): return 1", UnitTests(each=("assert f() == 1",))).all_passed


def test_threads_share_a_sandbox(one_sandbox: Sandbox) -> None:
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda i=i: found.append(one_sandbox.run(f"print({i})").stdout)) for i in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [f"{i}\n" for i in range(6)]
