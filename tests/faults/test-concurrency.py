#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Many vmctl at once: one name is one VM, one VM is one QEMU, a lock dies with its holder and is
named while it lives."""

import collections
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time

import faults
import harness

HERD = 32
# What a command that lost a race may say.
LOST = {
    "create": {"vm::exists", "vm::locked"},
    "start": {"vm::not_found", "vm::locked", "vm::invalid_state"},
    "stop": {"vm::not_found", "vm::locked"},
    "destroy": {"vm::not_found", "vm::locked"},
    "list": set(),
}


class Running:
    """A vmctl in the background that cannot block on its output."""

    def __init__(self, sandbox, argv, env=None):
        self.argv = list(map(str, argv))
        self.streams = [tempfile.TemporaryFile(), tempfile.TemporaryFile()]
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [str(harness.VMCTL), *self.argv],
            cwd=sandbox.project,
            env={**sandbox.environment, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=self.streams[0],
            stderr=self.streams[1],
        )

    def finish(self, deadline_s):
        try:
            self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.argv} takes over {deadline_s} s") from None
        self.took_s = time.monotonic() - self.began
        texts = []
        for stream in self.streams:
            stream.seek(0)
            texts.append(stream.read().decode(errors="replace"))
            stream.close()
        self.process.stdout, self.process.stderr = texts
        return harness.Result(self.process)


def all_at_once(sandbox, commands, deadline_s=faults.QUICK_S):
    """Starts all of @commands, then waits for all: their results in the same order."""
    running = [Running(sandbox, argv) for argv in commands]
    return [one.finish(deadline_s) for one in running]


def code_of(result):
    found = re.search(r"vm_manager::([\w:]+)", result.err)
    return found.group(1) if found else None


def assert_fair(argv, result):
    faults.assert_documented(result)
    assert "database is locked" not in result.err, f"{argv}: {result}"
    assert result.status == 0 or code_of(result) in LOST[argv[0]], f"{argv}: {result}"


def create_one(sandbox, name):
    return ["create", name, "--image", sandbox.disk, "--backend", "noop"]


def of_many_creates_of_one_name_one_wins(sandbox):
    rounds = faults.choose(10, 100)
    for turn in range(rounds):
        name = f"one-{turn}"
        results = all_at_once(sandbox, [create_one(sandbox, name)] * HERD)
        for result in results:
            assert_fair(["create", name], result)
        winners = [r for r in results if r.status == 0]
        assert len(winners) == 1, f"{len(winners)} winners; " + str(results[0])
        assert sandbox.states()[name] == "prepared"
    sandbox.assert_sound()
    print(f"# {rounds} of {rounds} rounds of {HERD} passed")


def creates_of_many_names_all_win(sandbox):
    """On a data folder that is not there yet: all of them make the store."""
    rounds = faults.choose(10, 100)
    for turn in range(rounds):
        names = [f"vm-{i}" for i in range(HERD)]
        results = all_at_once(sandbox, [create_one(sandbox, name) for name in names])
        for result in results:
            assert result.status == 0, f"round {turn}: {result}"
        assert sandbox.states() == {name: "prepared" for name in names}
        sandbox.assert_sound()
        sandbox.ok("destroy", "--all", "--yes")
        sandbox.assert_clean()
        shutil.rmtree(sandbox.data)
    print(f"# {rounds} of {rounds} rounds of {HERD} passed")


def of_many_starts_of_one_vm_one_qemu_comes(sandbox):
    sandbox.create_guest("one", "deaf")
    rounds = faults.choose(5, 100)
    for turn in range(rounds):
        results = all_at_once(sandbox, [["start", "one"]] * HERD)
        for result in results:
            assert result.status == 0, f"round {turn}: {result}"
        assert len(sandbox.qemus()) == 1, sandbox.qemus()
        status = sandbox.status("one")
        assert [status["pid"]] == sandbox.qemus() and status["ssh-port"] != 0, status
        sandbox.ok("stop", "one", "--force")
        assert not sandbox.qemus()
    print(f"# {rounds} of {rounds} rounds of {HERD} passed")


def storm(sandbox, names, create, total, at_once, verbs, seed):
    """@total commands, @at_once at a time, drawn by @seed. Returns how often each ended how."""
    chance = random.Random(seed)
    ends = collections.Counter()
    slowest = 0.0
    live = []

    def reap(one):
        nonlocal slowest
        result = one.finish(120)
        slowest = max(slowest, one.took_s)
        verb = one.argv[0]
        ends[f"{verb}: {code_of(result) or result.status}"] += 1
        assert_fair(one.argv, result)

    for _ in range(total):
        if len(live) == at_once:
            finished = [one for one in live if one.process.poll() is not None]
            while not finished:
                time.sleep(0.005)
                finished = [one for one in live if one.process.poll() is not None]
                assert time.monotonic() - min(o.began for o in live) < 120, "nothing moves any more"
            for one in finished:
                live.remove(one)
                reap(one)
        verb = chance.choice(verbs)
        name = chance.choice(names)
        argv = {
            "create": create(name),
            "start": ["start", name],
            "stop": ["stop", name, "--timeout", "1"],
            "destroy": ["destroy", name, "--yes"],
            "list": ["list", "--json"],
        }[verb]
        live.append(Running(sandbox, argv))
    for one in live:
        reap(one)
    print(f"# seed {seed}: {total} commands, {at_once} at once, slowest {slowest:.1f} s")
    print(f"# {dict(sorted(ends.items()))}")


def assert_consistent(sandbox, names):
    """The rows and the folders are the same VMs."""
    sandbox.assert_sound()
    states = sandbox.states()
    assert set(states.values()) <= {"prepared", "running", "stopped"}, states
    folders = sandbox.folder / "vms"
    assert {p.name for p in folders.iterdir()} == set(states), f"folders differ from {states}"
    connection = sqlite3.connect(sandbox.database)
    phases = dict(connection.execute("SELECT name, phase FROM vm"))
    connection.close()
    assert set(phases) == set(states) and set(phases.values()) <= {1}, phases
    sandbox.ok("destroy", "--all", "--yes", deadline_s=120)
    assert sandbox.states() == {}
    sandbox.assert_no_strays()
    sandbox.assert_clean()
    sandbox.assert_sound()


VERBS = ["create", "create", "start", "start", "stop", "destroy", "list"]


def a_storm_leaves_the_store_consistent(sandbox):
    names = [f"vm-{i}" for i in range(20)]
    for seed in range(faults.SEED, faults.SEED + faults.choose(1, 10)):
        create = lambda name: create_one(sandbox, name)
        storm(sandbox, names, create, faults.choose(1000, 5000), 50, VERBS, seed)
        assert_consistent(sandbox, names)


def a_storm_over_guests_leaves_no_qemu_unseen(sandbox):
    names = [f"vm-{i}" for i in range(4)]
    image = sandbox.guest_image("obedient")
    for seed in range(faults.SEED, faults.SEED + faults.choose(1, 10)):
        create = lambda name: ["create", name, "--image", image, "--memory", "16"]
        storm(sandbox, names, create, faults.choose(80, 500), 8, VERBS, seed)
        running = {vm["name"]: vm["pid"] for vm in sandbox.list() if vm["state"] == "running"}
        assert sorted(running.values()) == sorted(sandbox.qemus()), (running, sandbox.qemus())
        assert_consistent(sandbox, names)


def killed_at_random(sandbox):
    """The same storm with every fourth vmctl killed somewhere on its way."""
    names = [f"vm-{i}" for i in range(6)]
    chance = random.Random(faults.SEED)
    for _ in range(faults.choose(80, 1000)):
        victims = []
        for _ in range(4):
            name = chance.choice(names)
            verb = chance.choice(VERBS[:-1])
            argv = create_one(sandbox, name) if verb == "create" else [verb, name]
            victims.append(Running(sandbox, [*argv, "--yes"] if verb == "destroy" else argv))
        time.sleep(chance.random() * 0.04)
        victims[0].process.kill()
        for one in victims:
            result = one.finish(faults.QUICK_S)
            if one is not victims[0]:
                unfinished = code_of(result) == "vm::invalid_state"
                if not unfinished:
                    assert_fair(one.argv, result)
    for name in names:
        result = sandbox.vmctl(*create_one(sandbox, name))
        assert result.status == 0 or code_of(result) == "vm::exists", result
        sandbox.ok("start", name)
    assert sandbox.states() == {name: "running" for name in names}
    assert_consistent(sandbox, names)


def a_storm_with_kills_is_mended_by_the_next_commands(sandbox):
    killed_at_random(sandbox)


# --------------------------------------------------------------------------- holders of the lock


def number_of(sandbox, argv, call, what):
    """The number of the call @call about @what that @argv makes."""
    for number, (name, detail) in enumerate(sandbox.calls(argv), 1):
        if name.startswith(call) and detail == what:
            return number
    raise AssertionError(f"{argv} never calls {call} for {what}")


def holder(sandbox):
    """A `start` that stands still with the VM's lock in its hand."""
    sandbox.create_noop("one")
    number = number_of(sandbox, ["stop", "one"], "rename", "noop.state")
    return sandbox.hold(["stop", "one"], number)


def the_lock_of_a_killed_vmctl_is_free_at_once(sandbox):
    process = holder(sandbox)
    waiting = Running(sandbox, ["start", "one"])
    time.sleep(0.5)
    assert waiting.process.poll() is None, "it did not wait for the lock"
    killed = time.monotonic()
    process.kill()
    process.wait()
    result = waiting.finish(faults.QUICK_S)
    took_s = time.monotonic() - killed
    assert result.status == 0, result
    assert f"pid {process.pid}" in result.err, f"it does not name whom it waits for: {result}"
    assert took_s < 2, f"{took_s:.1f} s from the holder's death to the end"
    print(f"# {took_s * 1000:.0f} ms from the holder's death to the end")
    assert sandbox.states() == {"one": "running"}


def a_vmctl_that_was_stopped_is_named_at_the_deadline(sandbox):
    """SIGSTOP: nobody frees the lock. Whoever waits says after its 30 s for whom; list does not
    care."""
    process = holder(sandbox)
    os.kill(process.pid, signal.SIGSTOP)
    try:
        waiting = [Running(sandbox, argv) for argv in (["start", "one"], ["destroy", "one", "-y"])]
        _, took_s = faults.timed(sandbox.states)
        assert took_s < 2, f"list waits {took_s:.1f} s"
        sandbox.ok("create", "other", "--image", sandbox.disk, "--backend", "noop")
        for one in waiting:
            result = one.finish(45)
            assert result.status == 4 and code_of(result) == "vm::locked", result
            assert f"pid {process.pid}" in result.err and "stop" in result.err, result
            assert 25 < one.took_s < 35, f"{one.took_s:.1f} s"
            print(f"# {one.argv[0]}: locked after {one.took_s:.1f} s")
    finally:
        os.kill(process.pid, signal.SIGCONT)
        sandbox.shim.release()
        process.wait(10)
    sandbox.ok("start", "one")


def a_wait_for_the_lock_can_be_interrupted(sandbox):
    process = holder(sandbox)
    waiting = Running(sandbox, ["start", "one"])
    faults.wait_until(lambda: os.path.exists(f"/proc/{waiting.process.pid}"), "it runs")
    time.sleep(0.5)
    waiting.process.send_signal(signal.SIGINT)
    result = waiting.finish(3)
    assert result.status == 130, result
    sandbox.shim.release()
    process.wait(10)
    sandbox.ok("start", "one")


def holders_of_the_database_lock_are_waited_for_and_named(sandbox):
    """A writer that stands still in its transaction holds others up for seconds, not for ever."""
    sandbox.create_noop("one", "two")
    number = number_of(sandbox, ["start", "one"], "fdatasync", "vmctl.db-wal")
    sandbox.ok("stop", "one")
    process = sandbox.hold(["start", "one"], number)
    try:
        result, took_s = faults.timed(sandbox.vmctl, "stop", "two")
        print(f"# status {result.status} after {took_s:.1f} s: {result.err.strip()!r}")
        assert took_s < 15, f"{took_s:.1f} s"
        if result.status != 0:
            faults.assert_documented(result)
            assert "database is locked" not in result.err, f"SQLite's words, not ours: {result}"
        _, took_s = faults.timed(sandbox.states)
        assert took_s < 2, f"list waits {took_s:.1f} s for a writer"
    finally:
        sandbox.shim.release()
        process.wait(10)
    sandbox.ok("stop", "two")


faults.main(
    [
        of_many_creates_of_one_name_one_wins,
        creates_of_many_names_all_win,
        of_many_starts_of_one_vm_one_qemu_comes,
        a_storm_leaves_the_store_consistent,
        a_storm_over_guests_leaves_no_qemu_unseen,
        a_storm_with_kills_is_mended_by_the_next_commands,
        the_lock_of_a_killed_vmctl_is_free_at_once,
        a_vmctl_that_was_stopped_is_named_at_the_deadline,
        a_wait_for_the_lock_can_be_interrupted,
        holders_of_the_database_lock_are_waited_for_and_named,
    ]
)
