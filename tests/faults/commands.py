# SPDX-License-Identifier: MPL-2.0
"""The commands that change something, each with the state it starts from and the one it leads to,
and what must hold after one of them was disturbed."""

import json
import shutil
import socket
import subprocess

from faults import harness

VMFILE = "".join(f'vm "{n}" {{ image "disk.raw"; backend "noop" }}\n' for n in "ab")
ABSENT = "absent"


class Command:
    """@prepare makes the state that @argv starts from; @before and @after are the states of the VMs
    it is about. @done_already: what it says, rightly, when there is nothing left to do."""

    def __init__(self, name, prepare, argv, before, after, done_already=None, guest=False):
        self.name = name
        self.prepare = prepare
        self.argv = argv
        self.before = before
        self.after = after
        self.done_already = done_already
        self.guest = guest

    def __repr__(self):
        return self.name

    def arguments(self, sandbox):
        return [str(a).format(project=sandbox.project) for a in self.argv]

    def reset(self, sandbox):
        """The state before, made once for each sandbox and put back after. Noop only: a VM that
        runs cannot be put back."""
        if self.guest:
            self.clear(sandbox)
            self.prepare(sandbox)
            return
        if getattr(sandbox, "saved_for", None) is not self:
            self.clear(sandbox)
            self.prepare(sandbox)
            sandbox.save()
            sandbox.saved_for = self
        sandbox.restore()

    def clear(self, sandbox):
        """Whatever the last one left, out of the way."""
        if sandbox.data.exists():
            sandbox.run([harness.VMCTL, "destroy", "--all", "--yes"])
            shutil.rmtree(sandbox.data)

    def states(self, sandbox):
        """The states of the VMs that this is about; nobody else's VM may have changed."""
        listed = sandbox.states()
        for name in set(listed) - set(self.after):
            assert name == "bystander", f"a VM {name} out of nowhere"
        if self.has_bystander:
            assert listed.get("bystander") == "running", f"the bystander suffered: {listed}"
        return {name: listed.get(name, ABSENT) for name in self.after}

    has_bystander = property(lambda self: not self.guest and self.name != "first create")


def bystander(sandbox):
    sandbox.create_noop("bystander")
    sandbox.ok("start", "bystander")


def noop(*states):
    """A function that makes a bystander and a noop VM "one" in the last of @states."""

    def prepare(sandbox):
        bystander(sandbox)
        for state in states:
            if state == "prepared":
                sandbox.create_noop("one")
            if state == "running":
                sandbox.ok("start", "one")

    return prepare


def project(*verbs):
    def prepare(sandbox):
        bystander(sandbox)
        sandbox.vmfile(VMFILE)
        for verb in verbs:
            sandbox.ok(verb)

    return prepare


CREATE = ["create", "one", "--image", "{project}/disk.raw", "--backend", "noop"]

NOOP = [
    Command("first create", lambda s: None, CREATE, {"one": ABSENT}, {"one": "prepared"},
            "vm::exists"),
    Command("create", noop(), CREATE, {"one": ABSENT}, {"one": "prepared"}, "vm::exists"),
    Command("start", noop("prepared"), ["start", "one"], {"one": "prepared"}, {"one": "running"}),
    Command("stop", noop("prepared", "running"), ["stop", "one"], {"one": "running"},
            {"one": "stopped"}),
    Command("destroy", noop("prepared", "running"), ["destroy", "one", "--yes"],
            {"one": "running"}, {"one": ABSENT}, "vm::not_found"),
    Command("up", project(), ["up"], {"a": ABSENT, "b": ABSENT}, {"a": "running", "b": "running"}),
    Command("down", project("up"), ["down"], {"a": "running", "b": "running"},
            {"a": "stopped", "b": "stopped"}),
    Command("down --destroy", project("up"), ["down", "--destroy"],
            {"a": "running", "b": "running"}, {"a": ABSENT, "b": ABSENT}),
]  # fmt: skip


def guest(*more):
    return lambda sandbox: sandbox.create_guest("one", "obedient", *more)


def image_only(sandbox):
    sandbox.guest_image("obedient")


def guest_project(*verbs):
    def prepare(sandbox):
        sandbox.guest_image("obedient")
        sandbox.vmfile('vm "one" { image "obedient.raw"; memory 16 }\n')
        for verb in verbs:
            sandbox.ok(*verb)
            sandbox.await_guest("one")

    return prepare


GUEST_CREATE = ["create", "one", "--image", "{project}/obedient.raw", "--memory", "16"]

GUEST = [
    Command("create", image_only, GUEST_CREATE, {"one": ABSENT}, {"one": "prepared"}, "vm::exists",
            guest=True),
    Command("start", guest(), ["start", "one"], {"one": "prepared"}, {"one": "running"},
            guest=True),
    Command("stop", guest("--start"), ["stop", "one", "--timeout", "5"], {"one": "running"},
            {"one": "stopped"}, guest=True),
    Command("destroy", guest("--start"), ["destroy", "one", "--yes"], {"one": "running"},
            {"one": ABSENT}, "vm::not_found", guest=True),
    Command("up", guest_project(), ["up", "--no-provision"], {"one": ABSENT}, {"one": "running"},
            guest=True),
    Command("down", guest_project(("up", "--no-provision")), ["down"], {"one": "running"},
            {"one": "stopped"}, guest=True),
]  # fmt: skip


def assert_plausible(command, states):
    """Each VM is as before, as after, or visibly unfinished."""
    for name, state in states.items():
        allowed = {command.before[name], command.after[name]}
        if ABSENT in allowed:
            allowed.add("preparing")
        if command.name in ("up", "down --destroy"):  # which pass through these
            allowed |= {"prepared", "stopped"}
        if command.guest and command.name == "start":  # its QEMU was there for a moment
            allowed.add("stopped")
        assert state in allowed, f"{name} is {state}, which is none of {sorted(allowed)}"


def assert_guest_is_reached(sandbox, name):
    """A VM that runs is one process, and where its SSH port is can be told."""
    status = json.loads(sandbox.run([harness.VMCTL, "status", name, "--json"]).out)
    assert status["state"] == "running", status
    assert sandbox.qemus() == [status["pid"]], f"QEMUs {sandbox.qemus()}, status {status}"
    assert status["ssh-port"] != 0, f"{name} runs, but nobody knows its SSH port: {status}"
    socket.create_connection((status["ssh-host"], status["ssh-port"]), 5).close()


def assert_disk_is_sound(sandbox, name):
    overlay = sandbox.vm_dir(name) / "overlay.qcow2"
    checked = subprocess.run(
        ["qemu-img", "check", "-U", "-f", "qcow2", overlay], capture_output=True, text=True
    )
    assert checked.returncode == 0, f"qemu-img check: {checked.stdout}{checked.stderr}"


def destroy_all(sandbox, command):
    for name in command.after:
        result = sandbox.run([harness.VMCTL, "destroy", name, "--yes"])
        gone = result.status == 3 and "vm::not_found" in result.err
        assert result.status == 0 or gone, f"destroy {name} fails: {result}"
    assert set(command.states(sandbox).values()) == {ABSENT}
    sandbox.assert_no_strays()
    sandbox.assert_clean(*(["bystander"] if command.has_bystander else []))
    sandbox.assert_sound()


def assert_repeatable(sandbox, command):
    """The same command again leads to where it was to lead the first time."""
    result = sandbox.run([harness.VMCTL, *command.arguments(sandbox)])
    states = command.states(sandbox)
    if result.status != 0:
        done = command.done_already
        said = done is not None and f"vm_manager::{done}" in result.err
        assert said and states == command.after, f"the same again fails: {result}{states}"
    assert states == command.after, f"after the same again: {states} {result}"
    if command.guest:
        for name, state in states.items():
            helpers = set(sandbox.strays()) - set(sandbox.qemus())
            assert not helpers, f"done, but a process of the first time is still at work: {helpers}"
            if state == "running":
                assert_guest_is_reached(sandbox, name)
            else:
                assert not sandbox.qemus(), f"{name} is {state}, but QEMU runs"
            if state != ABSENT:
                assert_disk_is_sound(sandbox, name)


def assert_mended(sandbox, command, again=True, look=True):
    """What must hold after @command was disturbed, whatever happened to it; at the end all is
    destroyed. Without @look the next command follows at once."""
    if not command.guest:
        sandbox.assert_no_strays()
    if look:
        assert_plausible(command, command.states(sandbox))
        sandbox.assert_sound()
    if again:
        assert_repeatable(sandbox, command)
    destroy_all(sandbox, command)
