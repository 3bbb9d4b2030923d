#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""What vmctl says of a VM is true, and what it signals is that VM's process and nobody else: over
reboots, reused pids, stale files, frozen and killed QEMUs, damaged stores and odd surroundings."""

import os
import pathlib
import random
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time

import faults
import harness

ME = pathlib.Path(__file__).resolve()


def kill_qemu(sandbox, name="one", sent=signal.SIGKILL):
    pid = sandbox.status(name)["pid"]
    os.kill(pid, sent)
    faults.wait_until(lambda: not faults.is_alive(pid), "QEMU is dead")
    return pid


def assert_starts(sandbox, name="one"):
    sandbox.ok("start", name)
    status = sandbox.status(name)
    assert status["state"] == "running" and sandbox.qemus() == [status["pid"]], status


# ------------------------------------------------------------------------------------ endings


def a_killed_qemu_is_failed_and_starts_again(sandbox):
    sandbox.create_guest("one", "deaf", "--start")
    for sent in (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT):
        kill_qemu(sandbox, sent=sent)
        assert sandbox.states() == {"one": "failed"}, sent
        sandbox.ok("stop", "one")
        assert sandbox.states() == {"one": "stopped"}, sent
        assert_starts(sandbox)
    sandbox.ok("destroy", "one", "--yes")
    sandbox.assert_nothing_left("one")


def a_guest_that_powers_off_is_stopped(sandbox):
    sandbox.create_guest("one", "leaving", "--start")
    faults.wait_until(lambda: not sandbox.qemus(), "it is off")
    assert sandbox.states() == {"one": "stopped"}
    sandbox.create_guest("two", "obedient", "--start")
    result, took_s = faults.timed(sandbox.ok, "stop", "two")
    assert "by force" not in result.err and took_s < 5, f"{took_s:.1f} s {result}"
    assert sandbox.states() == {"one": "stopped", "two": "stopped"}


def a_guest_that_does_not_hear_is_ended_in_time(sandbox):
    sandbox.create_guest("one", "deaf", "--start")
    result, took_s = faults.timed(sandbox.ok, "stop", "one", "--timeout", "3")
    assert "by force" in result.err and 2.5 < took_s < 9, f"{took_s:.1f} s {result}"
    assert sandbox.states() == {"one": "stopped"}


def a_qemu_ended_by_sigterm_is_stopped(sandbox):
    """As an orderly shutdown of the host does it."""
    sandbox.create_guest("one", "deaf", "--start")
    kill_qemu(sandbox, sent=signal.SIGTERM)
    assert sandbox.states() == {"one": "stopped"}


# ------------------------------------------------------------------------------------ freezing


def frozen(sandbox, *names):
    pids = []
    for name in names:
        sandbox.create_guest(name, "obedient", "--start")
        pids.append(sandbox.status(name)["pid"])
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    return pids


def a_frozen_qemu_holds_nobody_up(sandbox):
    (pid,) = frozen(sandbox, "one")
    listed, took_s = faults.timed(sandbox.ok, "list")
    assert took_s < 4 and "unresponsive" in listed.out, f"{took_s:.1f} s {listed}"
    status, took_s = faults.timed(sandbox.status, "one")
    assert took_s < 4 and status["detail"] == "unresponsive", f"{took_s:.1f} s {status}"
    assert status["pid"] == pid and status["state"] == "running", status
    result, took_s = faults.timed(sandbox.ok, "stop", "one", "--force")
    assert took_s < 12, f"{took_s:.1f} s {result}"
    assert sandbox.states() == {"one": "stopped"} and not faults.is_alive(pid)
    assert_starts(sandbox)


def a_frozen_qemu_is_ended_by_an_ordinary_stop_too(sandbox):
    frozen(sandbox, "one")
    result, took_s = faults.timed(sandbox.ok, "stop", "one", "--timeout", "3")
    assert took_s < 3 + 12 and "by force" in result.err, f"{took_s:.1f} s {result}"
    assert not sandbox.qemus()


def a_frozen_qemu_can_be_destroyed(sandbox):
    frozen(sandbox, "one")
    result, took_s = faults.timed(sandbox.ok, "destroy", "one", "--yes")
    assert took_s < 12, f"{took_s:.1f} s {result}"
    sandbox.assert_nothing_left("one")


def list_asks_all_frozen_qemus_at_once(sandbox):
    """However many are frozen, list waits for the time of one."""
    frozen(sandbox, *(f"vm-{i}" for i in range(5)))
    listed, took_s = faults.timed(sandbox.ok, "list")
    assert listed.out.count("unresponsive") == 5, listed
    assert took_s < 4, f"{took_s:.1f} s for 5 frozen VMs"


def another_client_on_the_control_socket_is_waited_for(sandbox):
    """QEMU talks to one client; the next one gets no greeting until the first is gone."""
    sandbox.create_guest("one", "obedient", "--start")
    here = os.getcwd()
    os.chdir(sandbox.vm_dir("one"))
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect("qmp.sock")
            client.recv(1000)
            listed, took_s = faults.timed(sandbox.ok, "list")
            assert took_s < 4 and "unresponsive" in listed.out, f"{took_s:.1f} s {listed}"
            _, took_s = faults.timed(sandbox.ok, "stop", "one", "--timeout", "2")
            assert took_s < 12, f"{took_s:.1f} s"
    finally:
        os.chdir(here)
    assert not sandbox.qemus()


# ------------------------------------------------------------------------------------ starting


def slow_qemu(sandbox, seconds):
    """A QEMU that takes its time before it does anything; it holds the VM's lock meanwhile."""
    real = shutil.which("qemu-system-x86_64")
    text = f"""#!{sys.executable}
import os, sys, time
time.sleep({seconds})
os.execv("{real}", ["{real}", *sys.argv[1:]])
"""
    return {"VMCTL_QEMU": str(sandbox.write("slow-qemu", text, 0o755))}


def orphan(sandbox, seconds):
    """A QEMU whose vmctl was killed while it was starting, and that takes @seconds more."""
    environment = {**sandbox.environment, **slow_qemu(sandbox, seconds)}
    process = subprocess.Popen(
        [harness.VMCTL, "start", "one"],
        cwd=sandbox.project,
        env=environment,
        stderr=subprocess.PIPE,
    )
    lock = sandbox.vm_dir("one") / "run.lock"
    faults.wait_until(lambda: lock.exists() and sandbox.processes(), "QEMU is being started")
    time.sleep(0.3)
    process.kill()
    process.communicate()


def an_orphan_that_is_still_starting_can_be_stopped(sandbox):
    sandbox.create_guest("one")
    orphan(sandbox, 30)
    result, took_s = faults.timed(sandbox.vmctl, "stop", "one", "--force")
    assert result.status == 0, f"after {took_s:.1f} s: {result}"
    assert not sandbox.processes()


def an_orphan_that_is_still_starting_can_be_destroyed(sandbox):
    sandbox.create_guest("one")
    orphan(sandbox, 30)
    result, took_s = faults.timed(sandbox.vmctl, "destroy", "one", "--yes")
    assert result.status == 0, f"after {took_s:.1f} s: {result}"
    sandbox.assert_nothing_left("one")


def an_orphan_that_started_is_taken_over(sandbox):
    sandbox.create_guest("one")
    orphan(sandbox, 1)
    faults.wait_until(lambda: sandbox.qemus(), "QEMU is there")
    sandbox.ok("start", "one")
    status = sandbox.status("one")
    assert status["state"] == "running" and status["pid"] in sandbox.qemus(), status
    assert status["ssh-port"] != 0, f"it runs, but nobody knows its SSH port: {status}"


def a_start_that_is_interrupted_leaves_no_failed_vm(sandbox):
    """vmctl ended that QEMU itself: nothing failed."""
    sandbox.create_guest("one")
    environment = {**sandbox.environment, **slow_qemu(sandbox, 30)}
    process = subprocess.Popen(
        [harness.VMCTL, "start", "one"],
        cwd=sandbox.project,
        env=environment,
        stderr=subprocess.PIPE,
    )
    faults.wait_until(lambda: sandbox.processes(), "QEMU is being started")
    process.send_signal(signal.SIGINT)
    _, took_s = faults.timed(process.communicate, timeout=10)
    assert process.returncode == 130 and took_s < 5, (process.returncode, took_s)
    assert not sandbox.processes(), "a QEMU is left"
    assert sandbox.states()["one"] in ("prepared", "stopped"), sandbox.states()
    assert_starts(sandbox)


# ------------------------------------------------------------------------------------ pids


def inside(function, sandbox, *unshare):
    """Runs @function of this file in namespaces of its own, as the first process there."""
    faults.need_tools("unshare")
    probe = subprocess.run(["unshare", *unshare, "true"], capture_output=True, text=True)
    if probe.returncode != 0:
        raise faults.Skip(f"namespaces take root: {probe.stderr.strip()}")
    result = subprocess.run(
        ["unshare", *unshare, sys.executable, str(ME), "--inside", function, str(sandbox.root)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    for line in result.stdout.splitlines():
        print(f"# {line}")
    assert result.returncode == 0, result.stderr


def an_innocent_with_pid(pid):
    """A process that was given the number that QEMU had."""
    for _ in range(20):
        pathlib.Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1))
        process = subprocess.Popen(["sleep", "600"])
        if process.pid == pid:
            return process
        process.kill()
        process.wait()
    raise AssertionError(f"pid {pid} is not to be had")


def reused_pid(sandbox):
    rounds = 0
    commands = ("stop one", "stop one --force", "start one", "destroy one -y")
    for argv in (command.split() for command in commands):
        sandbox.create_guest("one", "deaf", "--start")
        pid = sandbox.status("one")["pid"]
        os.kill(pid, signal.SIGKILL)
        while True:  # as init here: its zombie keeps the number
            try:
                if os.waitpid(pid, 0)[0] == pid:
                    break
            except ChildProcessError:
                break
        innocent = an_innocent_with_pid(pid)
        assert sandbox.status("one")["pid"] != pid, "the innocent is shown as the VM's process"
        sandbox.ok(*argv)
        assert innocent.poll() is None, f"{argv} ended an innocent process"
        sandbox.vmctl("destroy", "one", "--yes")
        assert innocent.poll() is None, f"destroy after {argv} ended an innocent process"
        innocent.kill()
        innocent.wait()
        rounds += 1
    print(f"{rounds} of {rounds} innocents alive")


def reused_pid_while_starting(sandbox):
    """The pid file is an old one while the next QEMU is still on its way: the lock is held and the
    number in the file belongs to somebody else."""
    problems = []
    for argv in (["status", "one"], ["stop", "one", "--force"], ["destroy", "one", "-y"]):
        sandbox.create_guest("one", "deaf", "--start")
        pid = sandbox.status("one")["pid"]
        os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            pass
        innocent = an_innocent_with_pid(pid)
        orphan(sandbox, 60)
        result = sandbox.vmctl(*argv)
        time.sleep(0.2)
        if innocent.poll() is not None:
            problems.append(f"{argv} ended an innocent with {-innocent.returncode}: {result}")
        if argv[0] == "status" and str(pid) in result.out.split():
            problems.append(f"the innocent is shown as the VM's process: {result}")
        for left in sandbox.processes():
            os.kill(left, signal.SIGKILL)
        sandbox.vmctl("destroy", "one", "-y")
        shutil.rmtree(sandbox.data)
        innocent.kill()
        innocent.wait()
    assert not problems, "\n".join(problems)


PIDS = ("--pid", "--fork", "--mount-proc", "--kill-child")


def nobody_with_a_reused_pid_is_signalled(sandbox):
    inside("reused_pid", sandbox, *PIDS)


def nobody_with_a_reused_pid_is_signalled_while_qemu_starts(sandbox):
    inside("reused_pid_while_starting", sandbox, *PIDS)


def rebooted(sandbox):
    own = sandbox.root / "boot_id"
    own.write_text("01234567-89ab-4cde-8f01-23456789abcd\n")
    real = pathlib.Path("/proc/sys/kernel/random/boot_id")
    before = real.read_text()
    subprocess.run(["mount", "--bind", own, real], check=True)
    assert real.read_text() != before
    states = sandbox.states()
    assert set(states.values()) == {"stopped"}, f"after a reboot: {states}"
    for name in states:
        assert_starts(sandbox, name)
        sandbox.ok("stop", name, "--force")


def after_a_power_cut_and_reboot_vms_are_stopped_and_start(sandbox):
    for name in ("one", "two"):
        sandbox.create_guest(name, "deaf", "--start")
    for name in ("one", "two"):
        kill_qemu(sandbox, name)
    inside("rebooted", sandbox, "--mount")


def after_an_orderly_reboot_vms_are_stopped_and_start(sandbox):
    for name in ("one", "two"):
        sandbox.create_guest(name, "deaf", "--start")
    for name in ("one", "two"):
        kill_qemu(sandbox, name, signal.SIGTERM)
    inside("rebooted", sandbox, "--mount")


# ------------------------------------------------------------------------------------ stale files

STALE = ["qmp.sock", "console.sock", "qemu.pid", "run.lock", "qemu.log", "console.log"]


def make_stale(path, kind, canary):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    if kind == "file":
        path.write_text("4194000\n")
    elif kind == "empty":
        path.touch()
    elif kind == "directory":
        path.mkdir()
        (path / "inner").touch()
    elif kind == "symlink":
        path.symlink_to(canary)
    elif kind == "dangling":
        path.symlink_to(canary.with_name("not-there"))
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(path))


KINDS = ["file", "empty", "directory", "symlink", "dangling", "fifo", "socket"]


def stale_files(sandbox, name):
    """@name is something else than it should be: start works or names it, list and status end,
    destroy always works, and no symlink is followed."""

    def run(own, kind):
        canary = own.project / "canary"
        canary.write_text("precious\n")
        canary.with_name("not-there").unlink(missing_ok=True)
        own.create_guest("one", "deaf", "--start")
        own.ok("stop", "one", "--force")
        path = own.vm_dir("one") / name
        make_stale(path, kind, canary)
        try:
            for argv in (["list"], ["status", "one"], ["stop", "one", "--force"]):
                result = own.run([harness.VMCTL, *argv], deadline_s=10)
                faults.assert_documented(result)
            make_stale(path, kind, canary)
            started = own.run([harness.VMCTL, "start", "one"], deadline_s=30)
            faults.assert_documented(started)
            if started.status == 0:
                time.sleep(0.3)
                assert own.qemus() == [own.status("one")["pid"]], own.status("one")
                own.ok("stop", "one", "--force", deadline_s=20)
            else:
                assert name in started.err, f"the error does not name {name}: {started}"
            assert not own.processes(), "a QEMU is left that nobody sees"
            content = canary.read_text() if canary.exists() else "(removed)"
            assert content == "precious\n", f"it follows the symlink: the target is {content!r}"
            assert not canary.with_name("not-there").exists(), "made a file through the symlink"
        finally:
            for pid in own.processes():
                os.kill(pid, signal.SIGKILL)
            faults.wait_until(lambda: not own.processes(), "they are gone")
            destroyed = own.run([harness.VMCTL, "destroy", "one", "--yes"], deadline_s=30)
            shutil.rmtree(own.data)
        assert destroyed.status == 0, f"destroy fails: {destroyed}"

    faults.sweep(KINDS, run, sandbox)


def stale(name):
    def test(sandbox):
        stale_files(sandbox, name)

    test.__name__ = f"a_stale_{name.replace('.', '_')}_of_any_kind_is_replaced_or_named"
    return test


def a_lock_that_is_no_file_is_named(sandbox):
    """locks/one as something else."""

    def run(own, kind):
        own.create_noop("one")
        canary = own.project / "canary"
        canary.write_text("precious\n")
        path = own.folder / "locks" / "one"
        make_stale(path, kind, canary)
        result = own.run([harness.VMCTL, "start", "one"], deadline_s=10)
        faults.assert_documented(result)
        if kind not in ("file", "empty"):
            assert result.status != 0 or not path.is_symlink(), "it follows a symlink"
        if result.status != 0:
            assert "locks/one" in result.err, f"it does not name the lock: {result}"
        assert canary.read_text() == "precious\n"
        own.states()
        shutil.rmtree(own.data)

    faults.sweep(KINDS, run, sandbox)


# ------------------------------------------------------------------------------------ the store


def a_newer_store_is_refused_and_left_alone(sandbox):
    sandbox.create_noop("one")
    connection = sqlite3.connect(sandbox.database)
    connection.execute("PRAGMA user_version = 999")
    connection.commit()
    connection.close()
    before = sandbox.database.read_bytes()
    ordinary = (["list"], ["start", "one"], ["destroy", "one", "--yes"])
    for argv in (*ordinary, create_argv(sandbox, "two")):
        result = sandbox.fails(1, "store::failed", *argv)
        assert "newer" in result.err and str(sandbox.database) in result.err, result
    assert sandbox.database.read_bytes() == before
    assert sandbox.vm_dir("one").exists()


def create_argv(sandbox, name):
    return ["create", name, "--image", sandbox.disk, "--backend", "noop"]


def try_everything(own, damage):
    """After @damage, each command works or fails as documented: no crash, no hang."""
    ends = []
    for argv in (
        ["list"],
        ["list", "--json"],
        ["status", "one"],
        ["start", "one"],
        ["stop", "one"],
        create_argv(own, "new"),
        ["destroy", "one", "--yes"],
        ["doctor"],
    ):
        result = own.run([harness.VMCTL, *argv], deadline_s=20)
        try:
            if argv == ["doctor"]:
                assert result.status in (0, 1), result
            else:
                faults.assert_documented(result)
            if result.status != 0 and "store::failed" in result.err:
                named = str(own.folder) in result.err or '"one"' in result.err
                assert named, f"neither the VM nor the store is named: {result}"
        except AssertionError as failure:
            raise AssertionError(f"{damage}: {argv}: {failure}") from None
        ends.append(result.status)
    return ends


def sample_store(own):
    """A store of a few VMs, closed in an orderly way, kept for many damages."""
    if getattr(own, "sample", None) is None:
        for name in ("one", "two", "three"):
            own.create_noop(name)
        own.save()
        own.sample = own.database.read_bytes()
    own.restore()
    return bytearray(own.sample)


def flipped_bytes_in_the_store_never_crash(sandbox):
    chance = random.Random(faults.SEED)
    size = len(sample_store(sandbox))
    n = faults.choose(24, 4096)
    # The headers of the file and of its pages, and anywhere.
    places = [*range(0, 100, faults.choose(10, 1)), *(chance.randrange(size) for _ in range(n))]
    places += [page + chance.randrange(16) for page in range(0, size, 4096)]
    cases = [(at, chance.choice([0x01, 0x80, 0xFF])) for at in places]
    working = []

    def run(own, case):
        at, mask = case
        data = sample_store(own)
        data[at] ^= mask
        own.database.write_bytes(data)
        ends = try_everything(own, f"byte {at} xor {mask:#x}")
        working.append(ends[0] == 0)

    faults.sweep(cases, run, sandbox)
    print(f"# list works with {sum(working)} of {len(working)} damages, the others are refused")


def damaged_values_in_the_store_never_crash(sandbox):
    """Rows that nobody wrote: every value read back is looked at like other input."""
    values = [
        "UPDATE vm SET handle = ''",
        "UPDATE vm SET handle = '{}'",
        "UPDATE vm SET handle = 'null'",
        "UPDATE vm SET handle = '[]'",
        "UPDATE vm SET handle = substr(handle, 1, 40)",
        "UPDATE vm SET handle = replace(handle, 'noop', 'none')",
        "UPDATE vm SET handle = json_remove(handle, '$.dir')",
        "UPDATE vm SET handle = json_set(handle, '$.dir', 7)",
        "UPDATE vm SET handle = json_set(handle, '$.dir', 'relative')",
        "UPDATE vm SET handle = json_set(handle, '$.macs', json('{}'))",
        "UPDATE vm SET handle = json_set(handle, '$.macs', json('[1]'))",
        "UPDATE vm SET handle = json_set(handle, '$.macs', json('[[]]'))",
        "UPDATE vm SET handle = json_set(handle, '$.spec', json('[]'))",
        "UPDATE vm SET handle = json_set(handle, '$.spec', 'x')",
        "UPDATE vm SET handle = json_set(handle, '$.accel', 'warp')",
        "UPDATE vm SET handle = json_set(handle, '$.accel', 9)",
        "UPDATE vm SET handle = json_set(handle, '$.settled', 'x')",
        "UPDATE vm SET handle = json_set(handle, '$.\"ssh-port\"', 99999, '$.\"ssh-host\"', 'h')",
        "UPDATE vm SET handle = json_set(handle, '$.\"ssh-port\"', 'x', '$.\"ssh-host\"', 5)",
        "UPDATE vm SET phase = 99",
        "UPDATE vm SET phase = -1",
        "UPDATE vm SET created_s = 9223372036854775807",
        "UPDATE vm SET created_s = -9223372036854775808",
        "UPDATE vm SET backend = ''",
        "UPDATE vm SET name = '../../x' WHERE name = 'one'",
        "UPDATE vm SET name = '' WHERE name = 'one'",
        "UPDATE vm SET origin = char(27) || '[31m'",
        "UPDATE vm SET handle = replace(handle, '\"vcpus\":1', '\"vcpus\":-1')",
        "DROP TABLE event",
        "DROP TABLE step",
        "DROP TABLE vm",
        "ALTER TABLE vm RENAME TO other; CREATE VIEW vm AS SELECT * FROM other",
        "ALTER TABLE vm DROP COLUMN created_s",
        "CREATE TRIGGER t BEFORE UPDATE ON vm BEGIN SELECT RAISE(ABORT, 'no'); END",
        "PRAGMA user_version = 0",
        "PRAGMA user_version = -1",
        "PRAGMA user_version = 2147483647",
    ]

    def run(own, sql):
        sample_store(own)
        connection = sqlite3.connect(own.database)
        connection.executescript(f"PRAGMA foreign_keys = OFF; {sql};")
        connection.commit()
        connection.close()
        try_everything(own, sql)
        listed = own.run([harness.VMCTL, "list"])
        assert "\033" not in listed.out, f"escapes reach the terminal: {listed}"

    faults.sweep(values, run, sandbox)


def one_damaged_row_hides_no_other(sandbox):
    for name in ("one", "two", "three"):
        sandbox.create_noop(name)
    connection = sqlite3.connect(sandbox.database)
    connection.execute("UPDATE vm SET handle = 'garbage' WHERE name = 'two'")
    connection.commit()
    connection.close()
    states = sandbox.states()
    assert states == {"one": "prepared", "two": "failed", "three": "prepared"}, states
    sandbox.ok("start", "one")
    sandbox.ok("destroy", "two", "--yes")
    assert "two" not in sandbox.states()


def a_cut_or_replaced_store_is_named_or_works(sandbox):
    def cut(size):
        return lambda own: os.truncate(own.database, size)

    def replace(content):
        return lambda own: own.database.write_bytes(content)

    def as_directory(own):
        own.database.unlink()
        own.database.mkdir()

    def as_fifo(own):
        own.database.unlink()
        os.mkfifo(own.database)

    def as_dangling(own):
        own.database.unlink()
        own.database.symlink_to(own.root / "nowhere" / "else")

    def folder_as_file(own):
        shutil.rmtree(own.folder)
        own.folder.write_text("x")

    def swap_log(own):
        (own.folder / "vmctl.db-wal").write_bytes(os.urandom(40000))

    def swap_index(own):
        (own.folder / "vmctl.db-shm").write_bytes(os.urandom(32768))

    def log_as_directory(own):
        (own.folder / "vmctl.db-wal").mkdir()

    def journal(own):
        (own.folder / "vmctl.db-journal").write_bytes(os.urandom(5000))

    damages = {
        "zero length": cut(0),
        "one byte": cut(1),
        "half a header": cut(50),
        "header alone": cut(100),
        "one page": cut(4096),
        "a page and a half": cut(6000),
        "text": replace(b"this is no database\n" * 500),
        "zeros": replace(bytes(20000)),
        "a directory": as_directory,
        "a fifo": as_fifo,
        "a dangling symlink": as_dangling,
        "a file for the folder": folder_as_file,
        "a garbage log": swap_log,
        "a garbage index": swap_index,
        "a directory for the log": log_as_directory,
        "a garbage journal": journal,
    }
    ends = {}

    def run(own, what):
        sample_store(own)
        damages[what](own)
        ends[what] = try_everything(own, what)
        if own.folder.is_file():
            own.folder.unlink()

    faults.sweep(damages, run, sandbox)
    for what, statuses in ends.items():
        print(f"# {what}: exit statuses {statuses}")


def without_its_log_the_store_still_opens(sandbox):
    """A vmctl that was killed left a write-ahead log; somebody deletes it, or half of it."""
    for damage in ("delete", "half", "flip", "index"):
        shutil.rmtree(sandbox.data, ignore_errors=True)
        sandbox.create_noop("old")
        argv = create_argv(sandbox, "one")
        calls = sandbox.calls(argv)
        shutil.rmtree(sandbox.data)
        sandbox.create_noop("old")
        last = max(i for i, (call, what) in enumerate(calls, 1) if what == "vmctl.db-wal") - 3
        interference = faults.Interference(faults.SIGNAL_VMCTL, signal.SIGKILL)
        sandbox.interfered(argv, interference, last)
        log = sandbox.folder / "vmctl.db-wal"
        assert log.exists() and log.stat().st_size > 0, "no log was left"
        if damage == "delete":
            log.unlink()
        elif damage == "half":
            os.truncate(log, log.stat().st_size // 2)
        elif damage == "flip":
            data = bytearray(log.read_bytes())
            data[len(data) // 2] ^= 0xFF
            log.write_bytes(data)
        else:
            (sandbox.folder / "vmctl.db-shm").unlink(missing_ok=True)
        assert sandbox.states().get("old") == "prepared", f"{damage}: what was there is lost"
        sandbox.assert_sound()
        sandbox.vmctl(*argv)
        assert sandbox.states() == {"old": "prepared", "one": "prepared"}, damage


# ------------------------------------------------------------------------------------ surroundings


def descriptors_closed(sandbox, guest):
    """0, 1 and 2 closed in all ways: nothing of what is printed lands in a file."""
    closed_sets = [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]

    def run(own, closed):
        def close():
            for fd in closed:
                os.close(fd)

        if guest:
            image = own.guest_image("obedient")
            making = ["create", "one", "--image", image, "--memory", "16"]
        else:
            making = create_argv(own, "one")
        for argv, state in (
            (making, "prepared"),
            (["start", "one"], "running"),
            (["list"], "running"),
            (["status", "one"], "running"),
            (["stop", "one", "--force"], "stopped"),
            (["start", "one"], "running"),
        ):
            result = own.run([harness.VMCTL, *argv], preexec=close)
            assert result.status >= 0, f"{argv}: {result}"
            own.assert_sound()
            states = own.states()
            assert result.status != 0 or states.get("one") == state, f"{argv}: {result} {states}"
            # Losing stdout may be an error of a command that prints; the others have no reason.
            assert result.status == 0 or argv[0] in ("list", "status"), f"{argv}: {result}"
        lock = (own.folder / "locks" / "one").read_text()
        assert lock.count("\n") == 1 and lock.startswith("start "), f"the lock file: {lock!r}"
        for path in own.vm_dir("one").iterdir():
            if path.is_file() and path.suffix != ".log":
                assert b"one: st" not in path.read_bytes(), f"messages in {path.name}"
        own.ok("destroy", "one", "--yes")

    faults.sweep(closed_sets, run, sandbox)


def closed_descriptors_mix_up_no_files(sandbox):
    descriptors_closed(sandbox, guest=False)


def closed_descriptors_mix_up_no_files_of_a_guest(sandbox):
    descriptors_closed(sandbox, guest=True)


def output_that_cannot_be_written_is_told_and_hurts_nothing(sandbox):
    sandbox.create_noop("one")
    for target in ("/dev/full", "broken pipe"):
        for argv, prints in ((["list"], True), (["status", "one"], True), (["doctor"], True),
                             (["start", "one"], False), (["stop", "one"], False)):  # fmt: skip
            if target == "/dev/full":
                out = open(target, "w")
            else:
                read, write = os.pipe()
                os.close(read)
                out = os.fdopen(write, "w")
            with out:
                process = subprocess.run(
                    [harness.VMCTL, *argv],
                    env=sandbox.environment,
                    cwd=sandbox.project,
                    stdout=out,
                    stderr=subprocess.PIPE if prints else out,
                    timeout=20,
                )
            broken = target != "/dev/full" and process.returncode == -signal.SIGPIPE
            if prints:
                assert process.returncode > 0 or broken, f"{argv} to {target}: {process}"
            else:
                assert process.returncode == 0 or broken, f"{argv} to {target}: {process}"
            sandbox.assert_sound()
    sandbox.ok("start", "one")
    assert sandbox.states() == {"one": "running"}


def with_few_descriptors(sandbox):
    """`ulimit -n`: an error or the truth, never a running VM taken for ended. With less than 16
    GLib cannot go on and ends the program; that is as good as a kill, and mended like one."""

    def run(own, limit):
        def lower():
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

        own.create_guest("one", "obedient", "--start")
        problems = []
        for argv in (
            ["list"],
            ["status", "one"],
            ["start", "one"],
            ["stop", "one", "--timeout", "5"],
            ["start", "one"],
            ["destroy", "one", "--yes"],
        ):
            result = own.run([harness.VMCTL, *argv], preexec=lower)
            try:
                if limit >= 16 or result.status != -signal.SIGTRAP:
                    faults.assert_documented(result)
                runs = bool(own.qemus())
                said = own.states().get("one")
                assert runs == (said == "running"), f"QEMU runs: {runs}, the state is {said}"
                if argv == ["list"] and result.status == 0:
                    assert "running" in result.out, f"{result}"
                if argv[0] == "stop" and result.status == 0:
                    assert not runs, f"it says that it stopped the VM: {result}"
            except AssertionError as failure:
                problems.append(f"{' '.join(argv[:2])}: {failure}")
        result = own.run([harness.VMCTL, "destroy", "--all", "--yes"])
        assert result.status == 0, f"destroy with all descriptors: {result}"
        own.assert_no_strays()
        assert not problems, "\n".join(problems)

    faults.sweep([5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 18, 20, 24, 32], run, sandbox)


def few_descriptors_are_an_error_and_no_untruth(sandbox):
    with_few_descriptors(sandbox)


def a_small_address_space_is_no_crash_of_the_store(sandbox):
    """GLib ends a program that gets no memory; what it leaves is as after a kill."""
    sandbox.create_noop("one")
    for mib in (40, 60, 80, 120, 200, 400):

        def limit():
            resource.setrlimit(resource.RLIMIT_AS, (mib << 20, mib << 20))

        for argv in (["list"], ["start", "one"], ["stop", "one"]):
            result = sandbox.run([harness.VMCTL, *argv], preexec=limit)
            print(f"# {mib} MiB: {argv[0]}: {result.status}")
            sandbox.assert_sound()
            assert "one" in sandbox.states()
    sandbox.ok("destroy", "one", "--yes")


def waits_keep_their_length_when_the_clock_jumps(sandbox):
    """The wall clock leaps a year ahead, or back, while `stop` waits for its guest."""
    sandbox.create_guest("one", "deaf")
    year = 365 * 24 * 3600
    for leap in (year, -year):
        sandbox.start_guest("one")
        sandbox.shim.arm(faults.Interference(faults.NOTHING), 0)
        environment = {**sandbox.environment, **sandbox.shim.environment()}
        began = time.monotonic()
        process = subprocess.Popen(
            [harness.VMCTL, "stop", "one", "--timeout", "2"],
            cwd=sandbox.project,
            env=environment,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(0.7)
        sandbox.shim.shift_clock(leap)
        assert process.wait(30) == 0
        took_s = time.monotonic() - began
        sandbox.shim.shift_clock(0)
        print(f"# {took_s:.1f} s with a leap of {leap} s")
        assert 1.7 < took_s < 3.5, f"{took_s:.1f} s"


def a_clock_that_is_a_year_off_changes_nothing(sandbox):
    for offset in (-365 * 24 * 3600, 365 * 24 * 3600, -int(time.time())):
        sandbox.shim.arm(faults.Interference(faults.NOTHING), 0)
        sandbox.shim.shift_clock(offset)
        shifted = sandbox.shim.environment()
        sandbox.ok(*create_argv(sandbox, "one"), env=shifted)
        sandbox.ok("start", "one")
        sandbox.ok("status", "one", env=shifted)
        sandbox.ok("stop", "one", env=shifted)
        sandbox.ok("destroy", "one", "--yes")
        sandbox.shim.shift_clock(0)


if sys.argv[1:2] == ["--inside"]:
    where = pathlib.Path(sys.argv[3])
    own = faults.Sandbox(where / "inside")
    if sys.argv[2] == "rebooted":
        own.data = where / "data"
        own.environment["XDG_DATA_HOME"] = str(own.data)
    globals()[sys.argv[2]](own)
    sys.exit(0)

faults.main(
    [
        a_killed_qemu_is_failed_and_starts_again,
        a_guest_that_powers_off_is_stopped,
        a_guest_that_does_not_hear_is_ended_in_time,
        a_qemu_ended_by_sigterm_is_stopped,
        a_frozen_qemu_holds_nobody_up,
        a_frozen_qemu_can_be_destroyed,
        list_asks_all_frozen_qemus_at_once,
        another_client_on_the_control_socket_is_waited_for,
        an_orphan_that_is_still_starting_can_be_stopped,
        an_orphan_that_is_still_starting_can_be_destroyed,
        an_orphan_that_started_is_taken_over,
        a_start_that_is_interrupted_leaves_no_failed_vm,
        nobody_with_a_reused_pid_is_signalled,
        nobody_with_a_reused_pid_is_signalled_while_qemu_starts,
        after_a_power_cut_and_reboot_vms_are_stopped_and_start,
        after_an_orderly_reboot_vms_are_stopped_and_start,
        *(stale(name) for name in STALE),
        a_lock_that_is_no_file_is_named,
        a_newer_store_is_refused_and_left_alone,
        flipped_bytes_in_the_store_never_crash,
        damaged_values_in_the_store_never_crash,
        one_damaged_row_hides_no_other,
        a_cut_or_replaced_store_is_named_or_works,
        without_its_log_the_store_still_opens,
        closed_descriptors_mix_up_no_files,
        closed_descriptors_mix_up_no_files_of_a_guest,
        output_that_cannot_be_written_is_told_and_hurts_nothing,
        few_descriptors_are_an_error_and_no_untruth,
        a_small_address_space_is_no_crash_of_the_store,
        waits_keep_their_length_when_the_clock_jumps,
        a_clock_that_is_a_year_off_changes_nothing,
    ],
    nightly=[a_frozen_qemu_is_ended_by_an_ordinary_stop_too],
)
