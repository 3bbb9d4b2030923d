#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Disks that are full, failing, read-only or limited, and processes without descriptors: a command
fails with an error that says so or does all it was to do, and freeing room is enough."""

import contextlib
import errno
import os
import re
import resource
import shutil
import signal
import subprocess

import commands
import faults
import harness
from faults import CREATE, FAIL_FROM_THEN_ON, FAIL_ONCE, OPENING, STORING, SYNC, UNLINK
from faults import Interference

NAMES = {errno.ENOSPC: "ENOSPC", errno.EIO: "EIO", errno.EDQUOT: "EDQUOT", errno.EMFILE: "EMFILE"}


def assert_all_or_error(own, command, result, once):
    faults.assert_documented(result)
    states = command.states(own)
    if result.status == 0:
        assert states == command.after, f"it says that it succeeded: {result}{states}"
    elif once and "create" in command.name:
        assert states["one"] in (commands.ABSENT, "prepared"), f"half a VM is left: {result}"
        if states["one"] == commands.ABSENT:
            assert not own.vm_dir("one").exists(), f"its folder is left: {result}"


def calls_that_fail(sandbox, command, cases, action, kinds):
    """@command again and again, its call number N failing with an error: (N, error) of @cases."""

    def run(own, case):
        number, error = case
        command.reset(own)
        interference = Interference(action, error, kinds)
        result = own.interfered(command.arguments(own), interference, number)
        try:
            assert_all_or_error(own, command, result, action == FAIL_ONCE)
            commands.assert_mended(own, command)
        except AssertionError as failure:
            where = f"{NAMES[error]} at call {number} ({own.shim.call})"
            raise AssertionError(f"{where}: {failure}") from None

    faults.sweep(cases, run, sandbox)


def count(sandbox, command, kinds):
    command.reset(sandbox)
    n = len(sandbox.calls(command.arguments(sandbox), kinds))
    if command.guest:
        command.clear(sandbox)
    return n


def failing(command, errors, action, kinds, step=1):
    """A test in which each of the calls fails with each of @errors; with one of them in turn when
    there is little time."""

    def test(sandbox):
        numbers = range(1, count(sandbox, command, kinds) + 1, step)
        cases = [(n, error) for n in numbers for error in errors]
        if not faults.NIGHTLY:
            cases = [(n, errors[i % len(errors)]) for i, n in enumerate(numbers)]
        calls_that_fail(sandbox, command, cases, action, kinds)

    words = re.sub(r"\W+", "_", command.name) + ("_of_a_guest" if command.guest else "")
    which = "_or_".join(NAMES[error] for error in errors)
    how = "at_any_call" if action == FAIL_ONCE else "from_any_call_on"
    test.__name__ = f"{words}_bears_{which}_{how}"
    return test


DISK = (errno.ENOSPC, errno.EIO)
CHANGES = STORING | UNLINK


def sweeps():
    several = ("first create", "up", "down", "down --destroy")
    for command in commands.NOOP:
        step = faults.choose(3 if command.name in several else 1, 1)
        yield failing(command, DISK, FAIL_ONCE, CHANGES, step)
    for command in commands.GUEST[:4]:
        some = faults.choose(4, 1)
        yield failing(command, DISK, FAIL_ONCE, CHANGES, some)
        few = command.name in ("stop", "destroy")
        yield failing(command, (errno.EMFILE,), FAIL_ONCE, OPENING, 2 if few else some)
    for command in commands.GUEST[2:4]:
        yield failing(command, (errno.EMFILE,), FAIL_FROM_THEN_ON, OPENING)


def nightly_sweeps():
    for command in commands.NOOP:
        yield failing(command, DISK, FAIL_FROM_THEN_ON, CHANGES)
        yield failing(command, (errno.EDQUOT,), FAIL_ONCE, CHANGES)
        yield failing(command, (errno.EMFILE,), FAIL_ONCE, OPENING)
        yield failing(command, (errno.EMFILE,), FAIL_FROM_THEN_ON, OPENING)
    for command in commands.GUEST[:4]:
        yield failing(command, DISK, FAIL_FROM_THEN_ON, CHANGES)
    for command in commands.GUEST[:2]:
        yield failing(command, (errno.EMFILE,), FAIL_FROM_THEN_ON, OPENING)


def the_disk_stays_full_for_all_commands(sandbox):
    """ENOSPC from the Nth call on, for a few N of each command."""

    def run(own, case):
        command, number = case
        command.reset(own)
        interference = Interference(FAIL_FROM_THEN_ON, errno.ENOSPC, STORING)
        result = own.interfered(command.arguments(own), interference, number)
        try:
            assert_all_or_error(own, command, result, False)
            commands.assert_mended(own, command)
        except AssertionError as failure:
            raise AssertionError(f"{command} from call {number} on: {failure}") from None

    cases = [(c, n) for c in commands.NOOP for n in range(1, count(sandbox, c, STORING) + 1, 9)]
    faults.sweep(cases, run, sandbox)


def nothing_succeeds_when_fsync_fails(sandbox):
    """What is said to be done is on the disk: no fsync, no success."""
    for command in commands.NOOP:
        command.reset(sandbox)
        interference = Interference(FAIL_FROM_THEN_ON, errno.EIO, SYNC)
        result = sandbox.interfered(command.arguments(sandbox), interference, 1)
        assert result.status != 0, f"{command} succeeds without one fsync: {result}"
        faults.assert_documented(result)
        commands.assert_mended(sandbox, command)


def a_running_vm_is_never_taken_for_ended(sandbox):
    """list fails, or says that the VM runs, whichever of its opens fails and with what."""
    sandbox.create_guest("one", "deaf", "--start")
    kinds = CREATE | OPENING
    total = len(sandbox.calls(["list"], kinds))

    def run(own, case):
        number, error, action = case
        argv = ["list", "--json"]
        result = sandbox.interfered(argv, Interference(action, error, kinds), number)
        call = sandbox.shim.call
        faults.assert_documented(result)
        if result.status == 0:
            said = harness.json.loads(result.out)
            assert [vm["state"] for vm in said] == ["running"], (
                f"{os.strerror(error)} at call {number} ({call}): {result}"
            )

    cases = [
        (n, error, action)
        for n in range(1, total + 1)
        for error in (errno.EMFILE, errno.EIO)
        for action in (FAIL_ONCE, FAIL_FROM_THEN_ON)
    ]
    faults.sweep(cases, run, sandbox, workers=1)


# ------------------------------------------------------------------------------ real file systems


class Disk:
    """A file system of its own under the data folder."""

    def __init__(self, sandbox):
        self.path = sandbox.data
        self.path.mkdir(exist_ok=True)
        self.ballast = self.path / "ballast"

    def mount(self, *args):
        subprocess.run(["mount", *map(str, args), self.path], check=True, capture_output=True)

    def umount(self):
        subprocess.run(["umount", "-l", self.path], check=False, capture_output=True)

    def remount(self, how):
        self.mount("-o", f"remount,{how}")

    def fill(self):
        with contextlib.suppress(OSError), open(self.ballast, "wb", buffering=0) as file:
            for size in (65536, 512, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def fill_inodes(self):
        self.ballast.mkdir()
        with contextlib.suppress(OSError):
            for i in range(100000):
                (self.ballast / str(i)).touch()

    def free(self):
        if self.ballast.is_dir():
            shutil.rmtree(self.ballast)
        else:
            self.ballast.unlink(missing_ok=True)


class Tmpfs(Disk):
    def __init__(self, sandbox):
        super().__init__(sandbox)
        self.mount("-t", "tmpfs", "-o", "size=2m,nr_inodes=200,mode=700", "none")


class Ext4(Disk):
    def __init__(self, sandbox):
        super().__init__(sandbox)
        faults.need_tools("mkfs.ext4")
        image = sandbox.root / "ext4.img"
        with open(image, "wb") as file:
            file.truncate(8 << 20)
        subprocess.run(
            ["mkfs.ext4", "-q", "-N", "128", "-m", "0", image], check=True, capture_output=True
        )
        try:
            self.mount("-o", "loop", image)
        except subprocess.CalledProcessError as failure:
            raise faults.Skip(f"no loop devices: {failure.stderr.decode().strip()}") from None


@contextlib.contextmanager
def disk_of(sandbox, kind):
    faults.need_private_mounts()
    disk = kind(sandbox)
    try:
        yield disk
    finally:
        for pid in sandbox.strays():
            os.kill(pid, signal.SIGKILL)
        faults.wait_until(lambda: not sandbox.strays(), "the QEMUs are gone")
        disk.umount()


def everything(sandbox):
    """Commands that all write, in an order in which each makes sense."""
    image = sandbox.guest_image("obedient")
    return [
        ["create", "new", "--image", sandbox.disk, "--backend", "noop"],
        ["create", "guest", "--image", image, "--memory", "16"],
        ["start", "idle"],
        ["stop", "busy"],
        ["start", "one"],
        ["destroy", "idle", "--yes"],
    ]


def assert_says(result, words):
    faults.assert_documented(result)
    if result.status != 0:
        assert re.search(words, result.err, re.I), f"the error does not say why ({words}): {result}"


def a_full_disk(sandbox, kind, fill):
    with disk_of(sandbox, kind) as disk:
        sandbox.create_noop("idle", "busy")
        sandbox.ok("start", "busy")
        sandbox.create_guest("one")
        fill(disk)
        problems = []

        def note(check, *args):
            try:
                check(*args)
            except AssertionError as problem:
                problems.append(str(problem))

        for argv in everything(sandbox):
            result = sandbox.run([harness.VMCTL, *argv])
            print(f"# {argv[0]} {argv[1]}: status {result.status}: {result.err.strip()!r}"[:300])
            note(assert_says, result, r"full|space|quota|inode")
            listed = sandbox.run([harness.VMCTL, "list"])
            note(assert_says, listed, r"full|space|inode")
            shown = sandbox.run([harness.VMCTL, "status", "busy"])
            note(assert_says, shown, r"full|space|inode")
        disk.free()
        sandbox.assert_sound()
        states = sandbox.states()
        assert {"busy", "one"} <= set(states), f"a VM is lost: {states}"
        for name, state in states.items():
            assert state in ("prepared", "running", "stopped"), f"{name} is {state}"
        for argv in everything(sandbox):
            result = sandbox.run([harness.VMCTL, *argv])
            known = "vm::exists" in result.err or "vm::not_found" in result.err
            assert result.status == 0 or known, f"freeing room is not enough: {argv} {result}"
        sandbox.ok("destroy", "--all", "--yes")
        sandbox.assert_clean()
        assert not problems, f"{len(problems)} times: " + "\n".join(sorted(set(problems)))


def a_full_tmpfs_is_named_and_freeing_room_is_enough(sandbox):
    a_full_disk(sandbox, Tmpfs, Disk.fill)


def a_full_ext4_is_named_and_freeing_room_is_enough(sandbox):
    a_full_disk(sandbox, Ext4, Disk.fill)


def a_tmpfs_without_inodes_is_named_and_freeing_some_is_enough(sandbox):
    a_full_disk(sandbox, Tmpfs, Disk.fill_inodes)


def an_ext4_without_inodes_is_named_and_freeing_some_is_enough(sandbox):
    a_full_disk(sandbox, Ext4, Disk.fill_inodes)


def a_disk_that_was_never_large_enough(sandbox):
    """Each size of a new disk, from nothing to enough: an error or success, and room mends it."""
    with disk_of(sandbox, Tmpfs) as disk:
        disk.umount()
        for size in range(4, 260, faults.choose(16, 4)):
            disk.mount("-t", "tmpfs", "-o", f"size={size}k,mode=700", "none")
            argv = ["create", "one", "--image", sandbox.disk, "--backend", "noop"]
            result = sandbox.run([harness.VMCTL, *argv])
            faults.assert_documented(result)
            disk.remount("size=4m")
            listed = sandbox.states()
            again = sandbox.run([harness.VMCTL, *argv])
            assert again.status == 0 or listed.get("one") == "prepared", f"{size} KiB: {again}"
            sandbox.ok("destroy", "one", "--yes")
            sandbox.assert_clean()
            disk.umount()


def a_read_only_disk(sandbox, kind, spoil=None):
    with disk_of(sandbox, kind) as disk:
        sandbox.create_noop("idle", "busy")
        sandbox.ok("start", "busy")
        if spoil is not None:
            spoil(sandbox)
        disk.remount("ro")
        reading = [["list"], ["status", "busy"], ["list", "--json"], ["ps"]]
        problems = []
        for argv in [*reading, *everything(sandbox)[:4], ["doctor"]]:
            result = sandbox.run([harness.VMCTL, *argv])
            print(f"# {argv[0]}: status {result.status}: {result.err.strip()!r}"[:300])
            try:
                if argv != ["doctor"]:
                    assert_says(result, r"read.?only")
                if argv == ["list"] and result.status == 0:
                    assert re.search(r"^busy +running", result.out, re.M), result
            except AssertionError as problem:
                problems.append(str(problem))
        disk.remount("rw")
        assert sandbox.states().keys() == {"idle", "busy"} and sandbox.states()["busy"] == "running"
        sandbox.ok("destroy", "--all", "--yes")
        assert not problems, f"{len(problems)} times: " + "\n".join(sorted(set(problems)))


def leave_a_log(sandbox):
    """A vmctl that was killed leaves its write-ahead log."""
    calls = sandbox.calls(["start", "idle"])
    last = max(i for i, (call, what) in enumerate(calls, 1) if call == "fdatasync") - 1
    killed = Interference(faults.SIGNAL_VMCTL, signal.SIGKILL)
    sandbox.ok("stop", "idle")
    sandbox.interfered(["start", "idle"], killed, last)
    assert (sandbox.folder / "vmctl.db-wal").exists(), "no log was left"


def a_read_only_tmpfs_can_be_read_or_is_named(sandbox):
    a_read_only_disk(sandbox, Tmpfs)


def a_read_only_ext4_can_be_read_or_is_named(sandbox):
    a_read_only_disk(sandbox, Ext4)


def a_read_only_disk_with_a_log_left_can_be_read_or_is_named(sandbox):
    a_read_only_disk(sandbox, Ext4, leave_a_log)


def a_size_limit_is_an_error_and_not_death(sandbox):
    """RLIMIT_FSIZE: the kernel's SIGXFSZ must not be the end of vmctl."""
    failures = []
    for size in (0, 100, 4096, 32768, 65536, 200_000):
        for command in [*commands.NOOP, commands.GUEST[0]]:
            command.reset(sandbox)

            def limit():
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

            # stdout and stderr are pipes here: the limit is not about them.
            process = subprocess.run(
                [harness.VMCTL, *command.arguments(sandbox)],
                cwd=sandbox.project,
                env=sandbox.environment,
                capture_output=True,
                text=True,
                preexec_fn=limit,
                timeout=faults.QUICK_S,
            )
            result = harness.Result(process)
            try:
                assert_all_or_error(sandbox, command, result, False)
            except AssertionError as failure:
                failures.append(f"{command} with {size} bytes: {failure}")
            commands.assert_mended(sandbox, command)
    print(f"# {6 * 9 - len(failures)} of {6 * 9} passed")
    assert not failures, f"{len(failures)} failed:\n" + "\n".join(failures[:5])


faults.main(
    [
        # First, while this process has no threads: from here on it has mounts of its own.
        a_full_tmpfs_is_named_and_freeing_room_is_enough,
        a_full_ext4_is_named_and_freeing_room_is_enough,
        a_tmpfs_without_inodes_is_named_and_freeing_some_is_enough,
        an_ext4_without_inodes_is_named_and_freeing_some_is_enough,
        a_disk_that_was_never_large_enough,
        a_read_only_tmpfs_can_be_read_or_is_named,
        a_read_only_ext4_can_be_read_or_is_named,
        a_read_only_disk_with_a_log_left_can_be_read_or_is_named,
        a_size_limit_is_an_error_and_not_death,
        nothing_succeeds_when_fsync_fails,
        a_running_vm_is_never_taken_for_ended,
        the_disk_stays_full_for_all_commands,
        *sweeps(),
    ],
    nightly=nightly_sweeps(),
)
