#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""The command line over the backend that touches nothing real: verbs, errors, exit statuses."""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess

import harness

RAW = 1024 * 1024


def image(sandbox):
    """Something that passes for a raw disk."""
    path = sandbox.project / "disk.raw"
    path.write_bytes(b"\0" * RAW)
    return path


def noop_file(sandbox, *names):
    image(sandbox)
    sandbox.vmfile("".join(f'vm "{n}" {{ image "disk.raw"; backend "noop" }}\n' for n in names))


def up_and_down(sandbox):
    noop_file(sandbox, "a", "b")
    sandbox.ok("up")
    assert [(vm["name"], vm["state"]) for vm in sandbox.list()] == [
        ("a", "running"),
        ("b", "running"),
    ]
    sandbox.ok("down", "--name", "a")
    assert [vm["state"] for vm in sandbox.list()] == ["stopped", "running"]
    sandbox.ok("up")
    assert [vm["state"] for vm in sandbox.list()] == ["running", "running"]
    sandbox.ok("down", "--destroy")
    sandbox.assert_nothing_left("a")
    sandbox.assert_nothing_left("b")


def vmfile_is_found_in_a_parent(sandbox):
    noop_file(sandbox, "a")
    deep = sandbox.project / "x" / "y"
    deep.mkdir(parents=True)
    result = sandbox.ok("up", cwd=deep)
    assert str(sandbox.project / "VMFile.kdl") in result.err, result


def dependencies_come_up_first(sandbox):
    image(sandbox)
    sandbox.vmfile(
        'vm "web" { image "disk.raw"; backend "noop"; depends-on "db" }\n'
        'vm "db" { image "disk.raw"; backend "noop" }\n'
    )
    result = sandbox.ok("up")
    assert result.err.index("db: up") < result.err.index("web: up"), result


def dependants_of_a_failed_vm_are_not_tried(sandbox):
    image(sandbox)
    sandbox.vmfile(
        'vm "web" { image "disk.raw"; backend "noop"; depends-on "db" }\n'
        'vm "db" { image "missing.raw"; backend "noop" }\n'
    )
    result = sandbox.vmctl("up")
    assert result.status == 1 and 'waits for "db"' in result.err, result
    assert sandbox.list() == []


def imperative_life(sandbox):
    sandbox.ok("create", "one", "--image", image(sandbox), "--backend", "noop", "--vcpus", "2")
    assert sandbox.status("one")["state"] == "prepared"
    assert sandbox.status("one")["vcpus"] == 2
    sandbox.ok("start", "--name", "one")
    assert sandbox.status("one")["state"] == "running"
    sandbox.ok("stop", "one")
    assert sandbox.status("one")["state"] == "stopped"
    sandbox.fails(2, "usage", "destroy", "one")  # no terminal to ask on
    sandbox.ok("rm", "one", "-y")
    sandbox.assert_nothing_left("one")


def a_name_is_taken_once(sandbox):
    disk = image(sandbox)
    sandbox.ok("create", "one", "--image", disk, "--backend", "noop")
    sandbox.fails(1, "vm::exists", "create", "one", "--image", disk, "--backend", "noop")
    assert sandbox.status("one")["state"] == "prepared"


def another_vmfile_does_not_take_over(sandbox):
    noop_file(sandbox, "one")
    sandbox.ok("up")
    other = sandbox.root / "other"
    other.mkdir()
    (other / "VMFile.kdl").write_text('vm "one" { image "../project/disk.raw"; backend "noop" }')
    result = sandbox.fails(1, "vm::exists", "up", cwd=other)
    assert str(sandbox.project / "VMFile.kdl") in result.err, result
    assert "left alone" in sandbox.ok("down", "--destroy", cwd=other).err
    sandbox.ok("up", "--adopt", cwd=other)
    sandbox.ok("down", "--destroy", cwd=other)
    sandbox.assert_nothing_left("one")


def hostile_names_are_refused_everywhere(sandbox):
    for name in ["..", ".", "a/b", "a,b", "a=b", "a b", "%s/", "x" * 64, "a\nb", "ü", "\u202ea"]:
        sandbox.fails(2, "vm::invalid_name", "start", name)
        sandbox.fails(2, "vm::invalid_name", "status", name)
        sandbox.fails(2, "vm::invalid_name", "create", name, "--image", "x", "--backend", "noop")
    sandbox.fails(2, "usage", "start", "-rf")
    assert not (sandbox.data / "vmctl" / "vms").exists()


def mistakes_get_suggestions(sandbox):
    assert "did you mean `vmctl start`?" in sandbox.fails(2, "usage", "strat", "x").err
    assert "did you mean --timeout?" in sandbox.fails(2, "usage", "stop", "x", "--timeuot=3").err
    sandbox.ok("create", "web", "--image", image(sandbox), "--backend", "noop")
    assert "did you mean `web`?" in sandbox.fails(3, "vm::not_found", "start", "wbe").err
    sandbox.fails(2, "usage", "start")
    sandbox.fails(2, "usage", "stop", "web", "--timeout", "soon")
    sandbox.fails(3, "vmfile::not_found", "up", cwd=sandbox.root)


def a_faulty_vmfile_is_shown(sandbox):
    sandbox.vmfile('vm "web" {\n    image "x.raw"\n    memroy 2048\n}\n')
    result = sandbox.fails(2, "vmfile::validation", "up")
    assert "memroy 2048" in result.err and "did you mean `memory`?" in result.err, result


def errors_are_json_when_asked_for(sandbox):
    result = sandbox.vmctl("--json", "start", "nobody")
    error = json.loads(result.err)["error"]
    assert result.status == 3 and error["code"] == "vm_manager::vm::not_found", result
    assert "nobody" in error["message"] and error["help"], result


def an_unknown_backend_leaves_nothing(sandbox):
    disk = image(sandbox)
    result = sandbox.vmctl("create", "one", "--image", disk, "--backend", "vmware")
    assert result.status != 0 and "backend" in result.err, result
    sandbox.assert_nothing_left("one")


def an_interrupted_making_is_made_again(sandbox):
    """A row without its files is what a vmctl leaves that was killed in the middle."""
    noop_file(sandbox, "one")
    sandbox.ok("up")
    database = sandbox.data / "vmctl" / "vmctl.db"
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE vm SET phase = 0")
    connection.close()
    assert sandbox.status("one")["state"] in ("preparing", "running")
    result = sandbox.ok("up")
    assert "interrupted" in result.err, result
    assert sandbox.status("one")["state"] == "running"


def a_lost_store_finds_its_vms_again(sandbox):
    noop_file(sandbox, "a", "b")
    sandbox.ok("up")
    before = [(vm["name"], vm["state"], vm["vmfile"]) for vm in sandbox.list()]
    for file in (sandbox.data / "vmctl").glob("vmctl.db*"):
        file.unlink()
    assert sandbox.status("b")["state"] == "running"  # one by name
    assert [(vm["name"], vm["state"], vm["vmfile"]) for vm in sandbox.list()] == before
    sandbox.ok("down", "--destroy")
    sandbox.assert_nothing_left("a")


def a_vm_without_its_folder_is_made_anew(sandbox):
    noop_file(sandbox, "a")
    sandbox.ok("up")
    shutil.rmtree(sandbox.vm_dir("a"))
    status = sandbox.status("a")
    assert (status["state"], status["detail"]) == ("failed", "its folder is gone"), status
    sandbox.fails(1, "vm::invalid_state", "start", "a")
    sandbox.ok("up")
    assert sandbox.status("a")["state"] == "running"


def a_folder_without_a_record_is_in_nobodys_way(sandbox):
    stray = sandbox.vm_dir("a")
    stray.mkdir(parents=True)
    (stray / "overlay.qcow2").write_text("half an overlay")
    noop_file(sandbox, "a")
    assert sandbox.list() == []
    sandbox.ok("up")
    assert not (stray / "overlay.qcow2").exists()


def two_running_vms_do_not_share_a_port(sandbox):
    image(sandbox)
    for name in ["a", "b"]:
        sandbox.ok("create", name, "--image", "disk.raw", "--backend", "noop", "--forward", "8080:80")
    sandbox.ok("start", "a")
    result = sandbox.fails(1, "network::port_unavailable", "start", "b")
    assert '"a"' in result.err, result
    sandbox.ok("stop", "a")
    sandbox.ok("start", "b")


def events_are_kept(sandbox):
    noop_file(sandbox, "a")
    sandbox.ok("up")
    sandbox.ok("down")
    operations = [line.split()[2] for line in sandbox.ok("log", "a", "--events").out.splitlines()]
    assert operations == ["create:", "start:", "stop:"], operations
    assert "stop: ok" in sandbox.ok("status", "a").out


def plan_says_what_up_would_do(sandbox):
    noop_file(sandbox, "a", "b")
    plan = json.loads(sandbox.ok("plan", "--json").out)
    assert [(vm["name"], vm["action"]) for vm in plan] == [("a", "create"), ("b", "create")]
    assert sandbox.list() == []
    sandbox.ok("up", "--name", "a")
    plan = json.loads(sandbox.ok("plan", "--json").out)
    assert [(vm["name"], vm["action"]) for vm in plan] == [("a", "leave"), ("b", "create")]


def changed_settings_are_classed(sandbox):
    noop_file(sandbox, "a")
    sandbox.ok("up")
    sandbox.vmfile(
        'vm "a" { image "disk.raw"; backend "noop"; vcpus 4; uefi #true; ssh { private-key "k" } }'
    )
    (plan,) = json.loads(sandbox.ok("plan", "--json").out)
    classes = {change["setting"]: change["class"] for change in plan["changes"]}
    assert classes == {"vcpus": "restart", "uefi": "recreate", "private-key": "hot"}, plan
    text = sandbox.ok("plan").out
    assert "vcpus 1 → 4 (when it is started next)" in text, text

    running = sandbox.ok("up").err
    assert "vcpus 1 → 4: when it is started next" in running, running
    assert sandbox.status("a")["vcpus"] == 1
    sandbox.ok("down")
    sandbox.ok("up")
    assert sandbox.status("a")["vcpus"] == 4
    (plan,) = json.loads(sandbox.ok("plan", "--json").out)
    assert [change["setting"] for change in plan["changes"]] == ["uefi"], plan


def plan_knows_other_peoples_vms(sandbox):
    sandbox.ok("create", "a", "--image", image(sandbox), "--backend", "noop")
    noop_file(sandbox, "a")
    (plan,) = json.loads(sandbox.ok("plan", "--json").out)
    assert plan["action"] == "refuse", plan
    assert "--adopt" in sandbox.ok("plan").out


def validate_checks_the_file_alone(sandbox):
    sandbox.vmfile('vm "a" { image "no-such-image.raw" }')
    assert "1 VM, no faults" in sandbox.ok("validate").out
    assert json.loads(sandbox.ok("validate", "--json").out) == {"diagnostics": []}
    sandbox.vmfile('vm "a" {\n    vcpus 0\n}\n')
    result = sandbox.vmctl("validate", "--json")
    faults = json.loads(result.err.splitlines()[0])["diagnostics"]
    assert result.status == 2 and len(faults) == 2, result
    assert {(fault["line"], fault["column"]) for fault in faults} == {(1, 1), (2, 11)}, result


def a_checksum_is_enforced(sandbox):
    disk = image(sandbox)
    right = "sha256:" + hashlib.sha256(disk.read_bytes()).hexdigest()
    create = ["create", "one", "--image", disk, "--backend", "noop", "--checksum"]
    sandbox.fails(1, "image::checksum_mismatch", *create, "sha256:" + "0" * 64)
    sandbox.fails(2, "usage", *create, "md5:abc")
    sandbox.assert_nothing_left("one")
    sandbox.ok(*create, right)


def two_ups_at_once(sandbox):
    noop_file(sandbox, "a", "b")
    ups = [sandbox.popen("up") for _ in range(4)]
    for up in ups:
        err = up.communicate(timeout=60)[1]
        assert up.returncode == 0, err
    assert [vm["state"] for vm in sandbox.list()] == ["running", "running"]


def a_damaged_record_can_be_destroyed(sandbox):
    noop_file(sandbox, "a")
    sandbox.ok("up")
    with sqlite3.connect(sandbox.data / "vmctl" / "vmctl.db") as connection:
        connection.execute("UPDATE vm SET handle = '{'")
    connection.close()
    assert sandbox.list()[0]["state"] == "failed"
    sandbox.fails(1, "store::failed", "start", "a")
    sandbox.ok("destroy", "a", "-y")
    sandbox.assert_nothing_left("a")


def a_relative_data_folder(sandbox):
    disk = image(sandbox)
    relative = {"XDG_DATA_HOME": "here"}
    sandbox.ok("create", "one", "--image", disk, "--backend", "noop", env=relative)
    sandbox.ok("start", "one", env=relative)
    sandbox.ok("destroy", "one", "-y", env=relative)


def what_is_no_file_is_refused(sandbox):
    os.mkfifo(sandbox.project / "fifo")
    image(sandbox)
    sandbox.vmfile('vm "a" { image "disk.raw"; backend "noop"; cloud-init { user-data "fifo" } }')
    sandbox.fails(1, "io", "plan", deadline_s=10)
    folder = sandbox.project / "folder"
    folder.mkdir()
    os.mkfifo(folder / "fifo")
    sandbox.vmfile(
        'vm "a" { image "disk.raw"; backend "noop"; cloud-init\n'
        'provision "file" { source "folder"; destination "/x" } }'
    )
    sandbox.fails(1, "io", "up", deadline_s=10)


def options_are_spelled_out(sandbox):
    noop_file(sandbox, "a", "b")
    sandbox.ok("up")
    sandbox.fails(2, "usage", "down", "--d")
    sandbox.fails(2, "usage", "destroy", "a", "--all", "--yes")
    sandbox.fails(2, "usage", "list", "--color=sometimes")
    sandbox.fails(2, "usage", "list", "--quiet=5")
    sandbox.fails(2, "usage", "--versoin")
    sandbox.ok("destroy", "a", "a", "--yes")
    assert [vm["name"] for vm in sandbox.list()] == ["b"]


def nothing_is_left_of_the_last_vm(sandbox):
    noop_file(sandbox, "a")
    sandbox.ok("up")
    sandbox.ok("down", "--destroy")
    left = {path.name for path in (sandbox.data / "vmctl").rglob("*") if not path.is_dir()}
    assert left <= {"vmctl.db", "vmctl.db-wal", "vmctl.db-shm", ".store"}, left


def help_and_version(sandbox):
    assert sandbox.ok("--version").out.startswith("vmctl ")
    overview = sandbox.ok("--help").out
    for verb in ["up", "down", "create", "start", "stop", "destroy", "list", "status", "ssh", "log"]:
        assert f"  {verb} " in overview, overview
        assert f"vmctl {verb}" in sandbox.ok(verb, "--help").out
    assert sandbox.vmctl().status == 2


def output_that_cannot_be_written_is_an_error(sandbox):
    noop_file(sandbox, "a")
    sandbox.ok("up")
    (sandbox.vm_dir("a") / "console.log").write_text("said the guest\n")
    for command in ["list"], ["log", "a", "--console"]:
        with open("/dev/full", "w") as full:
            process = subprocess.run(
                [str(harness.VMCTL), *command], env=sandbox.environment, stdout=full, check=False
            )
        assert process.returncode == 1, command


def files_are_nobody_elses(sandbox):
    noop_file(sandbox, "one")
    sandbox.ok("up")
    for folder, _, files in os.walk(sandbox.data / "vmctl"):
        for path in [folder, *(os.path.join(folder, f) for f in files)]:
            assert os.stat(path).st_mode & 0o077 == 0, path


harness.main(
    [
        up_and_down,
        vmfile_is_found_in_a_parent,
        dependencies_come_up_first,
        dependants_of_a_failed_vm_are_not_tried,
        imperative_life,
        a_name_is_taken_once,
        another_vmfile_does_not_take_over,
        hostile_names_are_refused_everywhere,
        mistakes_get_suggestions,
        a_faulty_vmfile_is_shown,
        errors_are_json_when_asked_for,
        an_unknown_backend_leaves_nothing,
        an_interrupted_making_is_made_again,
        a_lost_store_finds_its_vms_again,
        a_vm_without_its_folder_is_made_anew,
        a_folder_without_a_record_is_in_nobodys_way,
        two_running_vms_do_not_share_a_port,
        events_are_kept,
        plan_says_what_up_would_do,
        changed_settings_are_classed,
        plan_knows_other_peoples_vms,
        validate_checks_the_file_alone,
        a_checksum_is_enforced,
        two_ups_at_once,
        a_damaged_record_can_be_destroyed,
        a_relative_data_folder,
        what_is_no_file_is_refused,
        options_are_spelled_out,
        nothing_is_left_of_the_last_vm,
        help_and_version,
        output_that_cannot_be_written_is_an_error,
        files_are_nobody_elses,
    ]
)
