#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""vmctl is killed or interrupted at each of its calls that change anything; the next command has to
find its way from there, without anybody tidying up by hand."""

import collections
import re
import signal

import commands
import faults
from faults import CHANGING, NOTHING, SIGNAL_VMCTL, Interference

# How long a helper or a QEMU that was just being started lags behind when vmctl is killed.
LAG_MS = 700


def killed_by(number, delay_ms=0):
    return Interference(SIGNAL_VMCTL, number, CHANGING, delay_ms)


def points(sandbox, command, step=1):
    command.reset(sandbox)
    calls = sandbox.calls(command.arguments(sandbox))
    return list(range(1, len(calls) + 1, step)), calls


def describe(case, call):
    return f"at call {case} ({call})"


def test_of(command, kind, function):
    def test(sandbox):
        function(sandbox, command)

    words = re.sub(r"\W+", "_", command.name)
    test.__name__ = f"{words}_{kind}"
    return test


def killed(sandbox, command):
    """SIGKILL at every call. Then the same command again and destroy, or at every third point
    destroy alone."""
    several = command.name in ("up", "down", "down --destroy")
    numbers, _ = points(sandbox, command, faults.choose(3 if several else 1, 1))

    def case(own, number, again=True):
        command.reset(own)
        result = own.interfered(command.arguments(own), killed_by(signal.SIGKILL), number)
        assert own.shim.fired == (result.status == -9), f"{result}"
        try:
            commands.assert_mended(own, command, again)
        except AssertionError as failure:
            raise AssertionError(describe(number, own.shim.call) + f": {failure}") from None

    def run(own, number):
        case(own, number)
        if faults.NIGHTLY or number % 3 == 0:
            case(own, number, again=False)

    faults.sweep(numbers, run, sandbox)


def interrupted(sandbox, command):
    """SIGINT and SIGTERM: 130, or the end of the work, or death before anything was done."""
    numbers, _ = points(sandbox, command, faults.choose(8, 1))
    ends = collections.Counter()

    def run(own, case):
        number, sent = case
        command.reset(own)
        result = own.interfered(command.arguments(own), killed_by(sent), number)
        ends[result.status] += 1
        where = describe(number, own.shim.call)
        assert result.status in (0, 130, -sent), f"{where}: {result}"
        if "tidying up" in result.err:
            assert result.status >= 0, f"{where}: {result}"
        try:
            if result.status == 0:
                assert command.states(own) == command.after, f"{result} {command.states(own)}"
            commands.assert_mended(own, command)
        except AssertionError as failure:
            raise AssertionError(f"{where}: {failure}") from None

    both = [(n, (signal.SIGINT, signal.SIGTERM)[i % 2]) for i, n in enumerate(numbers)]
    if faults.NIGHTLY:
        both = [(n, s) for n in numbers for s in (signal.SIGINT, signal.SIGTERM)]
    faults.sweep(both, run, sandbox)
    print(f"# exit statuses: {dict(sorted(ends.items()))}")


def sampled(calls, n):
    """Every call that starts or reaches another process, and @n of the others, evenly."""
    telling = {"fork", "execve", "bind", "connect", "pidfd_send_signal", "rename"}
    chosen = [i for i, (call, _) in enumerate(calls, 1) if call in telling]
    rest = [i for i in range(1, len(calls) + 1) if i not in chosen]
    step = max(1, len(rest) // n)
    return sorted(set(chosen) | set(rest[::step]) | {len(calls)})


def guest_killed(sandbox, command):
    """The same with real QEMU, whose own calls while it starts count as well. A child that was just
    making the call lags behind."""
    _, calls = points(sandbox, command)
    command.clear(sandbox)
    numbers = sampled(calls, 10) if not faults.NIGHTLY else range(1, len(calls) + 1)

    def run(own, number):
        command.reset(own)
        interference = killed_by(signal.SIGKILL, LAG_MS)
        result = own.interfered(command.arguments(own), interference, number)
        assert own.shim.fired == (result.status == -9), f"{result}"
        try:
            commands.assert_mended(own, command, look=number % 2 == 0)
        except AssertionError as failure:
            raise AssertionError(describe(number, own.shim.call) + f": {failure}") from None

    faults.sweep(numbers, run, sandbox)


def guest_destroyed(sandbox, command):
    """Destroy finds its way from there as well, at once."""
    _, calls = points(sandbox, command)
    command.clear(sandbox)
    numbers = sampled(calls, 5) if not faults.NIGHTLY else range(1, len(calls) + 1)

    def run(own, number):
        command.reset(own)
        own.interfered(command.arguments(own), killed_by(signal.SIGKILL, LAG_MS), number)
        try:
            commands.assert_mended(own, command, again=False, look=False)
        except AssertionError as failure:
            raise AssertionError(describe(number, own.shim.call) + f": {failure}") from None

    faults.sweep(numbers, run, sandbox)


def guest_interrupted(sandbox, command):
    _, calls = points(sandbox, command)
    command.clear(sandbox)
    numbers = sampled(calls, 5) if not faults.NIGHTLY else range(1, len(calls) + 1)
    ends = collections.Counter()

    def run(own, case):
        number, sent = case
        command.reset(own)
        result = own.interfered(command.arguments(own), killed_by(sent), number)
        ends[result.status] += 1
        where = describe(number, own.shim.call)
        assert result.status in (0, 130, -sent), f"{where}: {result}"
        try:
            if result.status == 0:
                assert command.states(own) == command.after, f"{result} {command.states(own)}"
            commands.assert_mended(own, command)
        except AssertionError as failure:
            raise AssertionError(f"{where}: {failure}") from None

    signals = (signal.SIGINT, signal.SIGTERM)
    try:
        faults.sweep([(n, signals[i % 2]) for i, n in enumerate(numbers)], run, sandbox)
    finally:
        print(f"# exit statuses: {dict(sorted(ends.items()))}")


def no_temporary_file_outlives_the_next_command(sandbox):
    """A file that was being written when vmctl was killed is gone, or taken, the next time."""
    command = next(c for c in commands.NOOP if c.name == "start")
    command.reset(sandbox)
    sandbox.ok(*command.argv)
    expected = sandbox.files("one")
    numbers, _ = points(sandbox, command)

    def run(own, number):
        command.reset(own)
        own.interfered(command.arguments(own), killed_by(signal.SIGKILL), number)
        own.ok(*command.argv)
        left = sorted(set(own.files("one")) - set(expected))
        assert not left, describe(number, own.shim.call) + f": left beside {expected}: {left}"

    faults.sweep(numbers, run, sandbox)


TRACED = {
    "openat": (
        *("open", "open64", "openat", "openat64"),
        *("mkostemp", "mkostemp64", "fopen", "fopen64"),
    ),
    "pwrite64": ("pwrite64", "pwrite"),
    "fsync": ("fsync",),
    "fdatasync": ("fdatasync",),
    "rename": ("rename",),
    "unlink": ("unlink",),
    "unlinkat": ("unlinkat",),
    "mkdir": ("mkdir",),
    "ftruncate": ("ftruncate", "ftruncate64"),
    "fcntl": ("fcntl", "fcntl64"),
    "bind": ("bind",),
    "connect": ("connect",),
    "execve": ("execve",),
    "fchmod": ("fchmod",),
}


def every_call_is_counted(sandbox):
    """What the kernel sees (strace) of vmctl and its helpers, the shim has seen too: a sweep over
    the shim's calls misses none."""
    faults.need_tools("strace")
    trace = sandbox.root / "trace"
    log = sandbox.root / "calls"
    for command in [*commands.NOOP, commands.GUEST[0]]:
        command.reset(sandbox)
        log.write_text("")
        sandbox.shim.arm(Interference(NOTHING, 0, CHANGING), 0)
        shim = sandbox.shim.environment(log)
        inside = [arg for k, v in shim.items() for arg in ("-E", f"{k}={v}")]
        argv = ["strace", "-f", "-qq", "-o", trace, "-e", "trace=" + ",".join(TRACED), *inside]
        argv += [faults.harness.VMCTL, *command.arguments(sandbox)]
        result = sandbox.run(argv, env={"ASAN_OPTIONS": "detect_leaks=0"})
        if "ptrace" in result.err.lower() and result.status != 0:
            raise faults.Skip("tracing is not allowed here")
        assert result.status == 0, result
        seen = collections.Counter()
        for line in trace.read_text().splitlines():
            call = re.match(r"\d+ +(\w+)\(", line)
            if call is None or line.endswith("<unfinished ...>") and "resumed" in line:
                continue
            name = call.group(1)
            if name == "openat" and ("O_CREAT" not in line or str(log) in line):
                continue
            if name == "fcntl" and not re.search(r"F_(OFD_)?SETLKW?\b", line):
                continue
            if name == "execve" and "vmctl" in line:
                continue
            seen[name] += 1
        counted = collections.Counter(line.split(" ")[2] for line in log.read_text().splitlines())
        for name, count in seen.items():
            ours = sum(counted[alias] for alias in TRACED[name])
            assert ours >= count, f"{command}: {name}: the kernel saw {count}, the shim {ours}"
        print(f"# {command}: {sum(seen.values())} calls seen by the kernel, all counted")


create, start, *others = commands.GUEST
KILLED = "of_a_guest_may_be_killed_at_any_call"
DESTROYED = "of_a_guest_killed_at_any_call_can_be_destroyed"
INTERRUPTED = "of_a_guest_may_be_interrupted_at_any_call"

faults.main(
    [
        every_call_is_counted,
        *(test_of(c, "may_be_killed_at_any_call", killed) for c in commands.NOOP),
        *(test_of(c, "may_be_interrupted_at_any_call", interrupted) for c in commands.NOOP),
        no_temporary_file_outlives_the_next_command,
        *(test_of(c, KILLED, guest_killed) for c in commands.GUEST[:4]),
        test_of(start, DESTROYED, guest_destroyed),
        test_of(start, INTERRUPTED, guest_interrupted),
    ],
    nightly=[
        *(test_of(c, KILLED, guest_killed) for c in commands.GUEST[4:]),
        test_of(create, DESTROYED, guest_destroyed),
        *(test_of(c, INTERRUPTED, guest_interrupted) for c in (create, *others)),
    ],
)
