#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""The power fails while vmctl works: what it said was done is done.

vmctl runs inside the tiny guest, where two loops create, start, stop and destroy VMs on the noop
backend. At a random moment the guest's QEMU is killed, and with it goes what the guest's kernel had
not written yet, as in a power cut. (What it had written is in the host's page cache, which stays:
that a drive forgets what it was not told to flush is not part of this.) The guest is booted again,
and what its vmctl knows is compared with what it had acknowledged.

VM_POWER_CUTS says how often (3; 20 with VM_FAULTS=nightly), VM_FAULTS_SEED what is drawn.
"""

import json
import os
import pathlib
import random
import re
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "integration"))
import harness  # noqa: E402

NIGHTLY = os.environ.get("VM_FAULTS", "gate") == "nightly"
CUTS = int(os.environ.get("VM_POWER_CUTS", "20" if NIGHTLY else "3"))
SEED = int(os.environ.get("VM_FAULTS_SEED") or random.randrange(1 << 32))

NAME = "power"
WORKERS = "ab"
N_OPERATIONS = 80  # of a worker; far more than it gets to before the cut
LATEST_ACK = 30  # the cut comes after one of the first so many
LATEST_DELAY_S = 0.6  # and so long after that at most: an operation takes some 0.3 s
BOOT_S = 120
ABSENT = "absent"
AFTER = {"create": "prepared", "start": "running", "stop": "stopped", "destroy": ABSENT}

NO_FSYNC = """
int fsync (int fd) { return 0; }
int fdatasync (int fd) { return 0; }
"""


# ---------------------------------------------------------------------------------- the guest


class Guest:
    """A VM of the host's vmctl that has a vmctl of its own in /opt/vmctl."""

    def __init__(self, sandbox):
        self.sandbox = sandbox
        sandbox.ok("create", NAME, "--image", harness.tiny(), "--memory", "512", "--start")
        self.install([harness.VMCTL, *self.missing_libraries()])
        self.run("sudo sync; head -c 1M /dev/zero >disk.raw; sync; vmctl --version")

    def popen(self, command, **more):
        setup = "export PATH=/opt/vmctl:$PATH LD_LIBRARY_PATH=/opt/vmctl; "
        child = subprocess.Popen(
            [str(harness.VMCTL), "ssh", NAME, "--", setup + command],
            cwd=self.sandbox.project,
            env=self.sandbox.environment,
            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            | more,
        )
        self.sandbox.children.append(child)
        return child

    def run(self, command, **more):
        """What @command writes, as bytes."""
        child = self.popen(command, **more)
        out, err = child.communicate(timeout=BOOT_S)
        self.errors = err.decode(errors="replace")
        assert child.returncode == 0, f"in the guest: {command}: {child.returncode} {self.errors}"
        return out

    def missing_libraries(self):
        there = set(self.run("ls /lib/x86_64-linux-gnu").decode().split())
        needed = subprocess.check_output(["ldd", harness.VMCTL], text=True)
        paths = re.findall(r"=> (/\S+)", needed)
        return [path for path in paths if pathlib.Path(path).name not in there]

    def install(self, paths):
        command = ["tar", "-chf", "-", "-P", "--transform", "s|.*/||", *map(str, paths)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as tar:
            self.run(
                "sudo mkdir -p /opt/vmctl && sudo tar -x -C /opt/vmctl -f - && sync",
                stdin=tar.stdout,
            )
        assert tar.returncode == 0, "tar fails"

    def cut_power(self):
        pid = self.sandbox.status(NAME)["pid"]
        assert pid in self.sandbox.processes(), f"{pid} is not the guest's QEMU"
        gone = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        assert select.select([gone], [], [], 30)[0], f"{pid} does not end"
        os.close(gone)

    def boot(self):
        state = self.sandbox.status(NAME)["state"]
        assert state == "failed", f"its QEMU was killed, and the VM is said to be {state}"
        self.sandbox.ok("start", NAME)

    def copy_store(self, to):
        """The data folder of the guest's vmctl as it is, before anything opens it."""
        archive = self.run("tar -c -C ~/.local/share -f - vmctl")
        to.mkdir()
        subprocess.run(["tar", "-x", "-C", to, "--no-same-owner"], input=archive, check=True)
        return to / "vmctl"

    def states(self, before=""):
        listed = json.loads(self.run(before + "vmctl list --json"))
        assert self.errors == "", f"list has something to mend: {self.errors}"
        return {vm["name"]: vm["state"] for vm in listed}


# ---------------------------------------------------------------------------------- the work


class Worker:
    """One loop in the guest, whose VMs are its own: the operations it will do, in order, and how
    many of them were acknowledged."""

    def __init__(self, letter):
        self.letter = letter
        self.made = 0
        self.states = {}  # before the first operation, without those that are absent
        self.plan = []
        self.acknowledged = 0

    def draw(self, dice):
        states = dict(self.states)
        self.plan = []
        self.acknowledged = 0
        for _ in range(N_OPERATIONS):
            verb = dice.choices(["create", "start", "stop", "destroy"], [45, 20, 10, 25])[0]
            fit = {"start": ["prepared", "stopped"], "stop": ["running"]}.get(verb)
            names = [n for n, state in states.items() if fit is None or state in fit]
            if verb == "create" or not names:
                verb, name = "create", f"{self.letter}-{self.made}"
                self.made += 1
            else:
                name = dice.choice(names)
            states = apply(states, verb, name)
            self.plan.append((verb, name))

    def script(self, careless):
        """Every operation follows a write that nobody flushes, to see what the cut takes."""
        more = {"create": "--backend noop --image disk.raw", "destroy": "--yes"}
        return "\n".join(
            f"echo x >{careless}/{self.letter}{i}; "
            f"vmctl -q {verb} {name} {more.get(verb, '')} && echo {self.letter} {i} || exit"
            for i, (verb, name) in enumerate(self.plan, 1)
        )

    def find_fault(self, listed):
        """The VMs must be as they are after the first so many operations: all that were
        acknowledged, perhaps some of which the word did not get out any more, and half of the one
        that was in hand. What is not so in @listed; None when all is well."""
        listed = {n: state for n, state in listed.items() if n.startswith(self.letter + "-")}
        states = dict(self.states)
        fault = None
        for i, (verb, name) in enumerate(self.plan):
            if i >= self.acknowledged:
                wrong = differences(states, listed)
                half = verb in ("create", "destroy") and listed.get(name) == "preparing"
                if not wrong or (half and list(wrong) == [name]):
                    return None
                fault = fault or ", ".join(
                    f"{n} is {is_} instead of {was}" for n, (was, is_) in wrong.items()
                )
            states = apply(states, verb, name)
        last = self.plan[: self.acknowledged + 2][-12:]
        shown = " ".join(f"{verb}:{name}" for verb, name in last)
        return f"after {self.acknowledged} acknowledged operations {fault}; up to two more: {shown}"


def apply(states, verb, name):
    states = {**states, name: AFTER[verb]}
    return {n: state for n, state in states.items() if state != ABSENT}


def differences(expected, listed):
    names = sorted({*expected, *listed})
    pairs = {n: (expected.get(n, ABSENT), listed.get(n, ABSENT)) for n in names}
    return {n: (was, is_) for n, (was, is_) in pairs.items() if was != is_}


def read_acknowledgements(loops, workers, until=None):
    """Until so many are read in all, or the guest is gone."""
    for line in loops.stdout:
        words = line.decode().split()
        if len(words) == 2 and line.endswith(b"\n"):
            workers[words[0]].acknowledged = int(words[1])
        if until is not None and total(workers) >= until:
            return


def total(workers):
    return sum(worker.acknowledged for worker in workers.values())


# ---------------------------------------------------------------------------------- the checks


def check_files(folder):
    """Faults of the data folder as the cut left it."""
    connection = sqlite3.connect(folder / "vmctl.db")
    try:
        found = connection.execute("PRAGMA integrity_check").fetchall()
        if found != [("ok",)]:
            yield f"integrity_check: {found}"
        orphans = connection.execute("PRAGMA foreign_key_check").fetchall()
        if orphans:
            yield f"foreign_key_check: {orphans}"
        rows = {name for (name,) in connection.execute("SELECT name FROM vm")}
    except sqlite3.Error as error:
        yield f"the database cannot be read: {error}"
        return
    finally:
        connection.close()
    for vm in sorted((folder / "vms").glob("*")):
        if vm.name not in rows:
            yield f"{vm.name} has a folder ({[p.name for p in vm.iterdir()]}) and no row"
        yield from check_record(vm / "vm.json", vm.name)
        state = vm / "noop.state"
        if state.exists() and state.read_text() not in AFTER.values():
            yield f"{vm.name}/noop.state is {state.read_bytes()!r}"


def check_record(path, name):
    if not path.exists():
        return
    try:
        if json.loads(path.read_bytes())["handle"]["spec"]["name"] != name:
            yield f"{path} is about another VM"
    except (ValueError, KeyError, TypeError) as error:
        yield f"{name}/vm.json is damaged: {error!r}: {path.read_bytes()[:80]!r}"


def check_use(guest, number, workers, listed):
    """The store can be worked with; what is half made or half destroyed can be removed."""
    commands = [f"vmctl -q create after-{number} --image disk.raw --backend noop"]
    for name, state in listed.items():
        if state == "preparing":
            commands.append(f"vmctl -q destroy {name} --yes")
    listed = guest.states(" && ".join(commands) + " && ")
    assert listed[f"after-{number}"] == "prepared", listed
    assert "preparing" not in listed.values(), listed
    for worker in workers.values():
        worker.states = {n: s for n, s in listed.items() if n.startswith(worker.letter + "-")}


def cut(guest, number, workers, dice, preload=""):
    """One cut. Returns the faults found, the VMs there are, and the careless writes lost."""
    careless = f"careless-{number}"
    wanted = dice.randint(1, LATEST_ACK)
    delay_s = dice.uniform(0, LATEST_DELAY_S)
    for worker in workers.values():
        worker.draw(dice)
    scripts = [f"( {worker.script(careless)} ) &" for worker in workers.values()]
    loops = guest.popen("\n".join([f"mkdir {careless}", preload, *scripts, "wait"]))
    read_acknowledgements(loops, workers, wanted)
    if total(workers) >= wanted:
        time.sleep(delay_s)
        assert loops.poll() is None, "the loops ended before the cut"
        guest.cut_power()
        read_acknowledgements(loops, workers)
    errors = loops.communicate(timeout=60)[1].decode(errors="replace")
    assert "vm_manager::" not in errors, f"before the cut: {errors}"
    assert total(workers) >= wanted, f"the loops ended early: {errors}"

    guest.boot()
    faults = list(check_files(guest.copy_store(guest.sandbox.root / f"after-{number}")))
    listed = {}
    if not faults:
        listed = guest.states()
        faults = [f for worker in workers.values() if (f := worker.find_fault(listed)) is not None]
        earlier = {f"after-{n}" for n in range(1, number)}
        faults += [f"{name} is lost" for name in sorted(earlier - set(listed))]
    kept = guest.run(f"cd {careless} 2>/dev/null && find . -size +0 -type f || true").split()
    print(
        f"# cut {number}: {total(workers)} acknowledged (drawn: {wanted}, then {delay_s:.2f} s),"
        f" {'all kept' if not faults else 'NOT ALL KEPT'}; careless writes lost:"
        f" {total(workers) - len(kept)}",
        flush=True,
    )
    return faults, listed, max(0, total(workers) - len(kept))


# ---------------------------------------------------------------------------------- the tests


def what_was_acknowledged_outlives_a_power_cut(sandbox):
    dice = random.Random(SEED)
    guest = Guest(sandbox)
    workers = {letter: Worker(letter) for letter in WORKERS}
    passed = acknowledged = lost = 0
    faults = []
    for number in range(1, CUTS + 1):
        found, listed, careless = cut(guest, number, workers, dice)
        passed += not found
        acknowledged += total(workers)
        lost += careless
        faults += [f"cut {number}: {fault}" for fault in found]
        if found and not listed:
            break  # the files are damaged, and no later cut would tell anything
        check_use(guest, number, workers, listed)
    print(f"# seed {SEED}: {passed} of {CUTS} cuts passed, {acknowledged} operations acknowledged")
    assert not faults, "\n".join(faults)
    assert lost > 0, "not one careless write was lost: these were no power cuts"

    guest.run("vmctl -q destroy --all --yes")
    assert guest.states() == {}
    left = guest.run("cd ~/.local/share/vmctl && find . -path './vms/*'").decode()
    assert left == "", f"left of VMs that were destroyed: {left}"


def a_destroyed_vm_stays_gone_while_another_vmctl_works(sandbox):
    """A vmctl that takes long keeps the log of the store open. Once it is full it is written from
    its start again, and a commit that makes no file longer takes nothing else along to the disk."""
    guest = Guest(sandbox)
    loops = guest.popen("""
        truncate -s 20G large.raw
        vmctl -q create large --image large.raw --backend noop --checksum sha256:$(
            printf %064d 0) >/dev/null 2>&1 &
        until [ -s .local/share/vmctl/locks/large ]; do sleep 0.1; done
        kill -STOP $!
        head -c 400000 /dev/zero | tr '\\0' '#' >large.txt
        for i in 1 2 3 4 5 6 7 8 9 10; do
            vmctl -q create fat-$i --image disk.raw --backend noop --cloud-init large.txt || exit
            ls -l .local/share/vmctl/vmctl.db-wal | awk '{ print $5 }'
        done
        for i in 1 2 3; do vmctl -q create one-$i --image disk.raw --backend noop || exit; done
        sync
        for i in 1 2 3; do vmctl -q destroy one-$i --yes || exit; done
        echo destroyed
        wait
    """)
    sizes = []
    for line in loops.stdout:
        if line == b"destroyed\n":
            guest.cut_power()
            break
        sizes.append(int(line))
    errors = loops.communicate(timeout=60)[1].decode(errors="replace")
    print(f"# the log's sizes in bytes: {sizes}")
    assert "vm_manager::" not in errors and len(sizes) == 10, f"before the cut: {errors}"
    assert sizes[-1] == sizes[-2], "the log was not written from its start again"

    guest.boot()
    faults = list(check_files(guest.copy_store(guest.sandbox.root / "after")))
    back = [line for line in guest.run("vmctl list").decode().splitlines() if "one-" in line]
    assert not faults and not back, f"{faults}; back again: {back}"


def a_store_that_does_not_flush_is_found_out(sandbox):
    """The same with a C library whose fsync does nothing: this test would see it."""
    library = sandbox.root / "no-fsync.so"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-x", "c", "-o", library, "-"],
        input=NO_FSYNC,
        text=True,
        check=True,
    )
    guest = Guest(sandbox)
    guest.install([library])
    workers = {letter: Worker(letter) for letter in WORKERS}
    guest.run("vmctl list; sync")
    preload = f"export LD_PRELOAD=/opt/vmctl/{library.name}"
    found, _, _ = cut(guest, 1, workers, random.Random(SEED), preload)
    print(f"# found: {str(found)[:400]}")
    assert found, "nothing was flushed, and this test saw no fault"


def reason_to_skip():
    if not harness.tiny().exists():
        return "the guest's image is not there: tests/guests/build tiny makes it"
    for tool in ("qemu-system-x86_64", "qemu-img", "ssh", "ldd"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    release = pathlib.Path("/etc/os-release")
    words = release.read_text() if release.exists() else ""
    if "ID=debian" not in words or 'VERSION_ID="12"' not in words:
        return "the guest is a Debian 12, and what was built here may not run there"
    if "libasan" in subprocess.check_output(["ldd", harness.VMCTL], text=True):
        return "AddressSanitizer in an emulated guest takes too long"
    return None


reason = reason_to_skip()
if reason is not None:
    print(f"1..0 # SKIP {reason}")
    sys.exit(0)
print(f"# seed {SEED}, {CUTS} cuts", flush=True)
harness.main(
    [
        what_was_acknowledged_outlives_a_power_cut,
        a_destroyed_vm_stays_gone_while_another_vmctl_works,
    ]
    + ([a_store_that_does_not_flush_is_found_out] if NIGHTLY or sys.argv[1:] else [])
)
