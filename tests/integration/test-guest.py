#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""vmctl against real QEMU and a real, small guest."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import time

import harness


def vmfile(name="web", settings="", image=None):
    image = str(image or harness.tiny()).replace("\\", "\\\\").replace('"', '\\"')
    return f"""
vm "{name}" {{
    image "{image}"
    memory 256
    cloud-init {{ hostname "{name}-host" }}
    {settings}
}}
"""


def whole_life(sandbox):
    """up with every kind of step, ssh, down by ACPI, up again, destroy."""
    sandbox.write("greet.sh", '#!/bin/sh\necho "script says $0" >&2\necho from-script > ~/script\n')
    sandbox.write("app.conf", "a=1\n", 0o640)
    sandbox.vmfile(
        vmfile(
            settings="""
    provision "shell" { inline "echo inline-on $(hostname); echo x > ~/inline" }
    provision "shell" { script "greet.sh" }
    provision "file" { source "app.conf"; destination "/home/vm/app.conf" }
"""
        )
    )
    up = sandbox.ok("up")
    assert "inline-on web-host" in up.out, up
    assert "script says /tmp/vmctl-provision-2.sh" in up.err, up
    status = sandbox.status("web")
    assert status["state"] == "running" and status["pid"] in sandbox.processes(), status

    assert sandbox.ok("ssh", "web", "--", "hostname").out == "web-host\n"
    listing = sandbox.ok("ssh", "web", "--", "stat -c '%a %n' app.conf; ls /tmp; sudo id -u").out
    assert "640 app.conf" in listing and "vmctl-provision" not in listing, listing
    assert listing.endswith("0\n"), listing
    assert sandbox.vmctl("ssh", "web", "--", "exit 7").status == 7
    assert sandbox.ok("ssh", "web", "--", "echo", "a  b", "$HOME").out == "a  b $HOME\n"

    down = sandbox.ok("down")
    assert "by force" not in down.err, down
    assert sandbox.status("web")["state"] == "stopped" and not sandbox.processes()

    again = sandbox.ok("up")
    assert "step" not in again.err and "inline-on" not in again.out, again
    assert sandbox.ok("ssh", "--", "cat inline script app.conf").out == "x\nfrom-script\na=1\n"
    log = sandbox.ok("log", "web", "--provision").out
    assert "inline-on web-host" in log and "exit status 0" in log, log

    sandbox.ok("down", "--destroy")
    sandbox.assert_nothing_left("web")


def a_failing_step_stops_and_is_resumed(sandbox):
    steps = """
    provision "shell" {{ inline "echo first >> ~/log" }}
    provision "shell" {{ inline "{}" }}
    provision "shell" {{ inline "echo third >> ~/log" }}
"""
    sandbox.vmfile(vmfile(settings=steps.format("echo trouble >&2; exit 3")))
    result = sandbox.fails(1, "provision::failed", "up")
    assert "trouble" in result.err and "step 2 of 3" in result.err, result
    assert "exit status 3" in result.err and "help:" in result.err, result
    assert sandbox.ok("ssh", "web", "--", "cat log; ls /tmp").out == "first\n"

    sandbox.vmfile(vmfile(settings=steps.format("echo second >> ~/log")))
    sandbox.ok("up")
    assert sandbox.ok("ssh", "web", "--", "cat log").out == "first\nsecond\nthird\n"


def a_new_step_does_not_repeat_the_others(sandbox):
    step = 'provision "shell" {{ inline "echo {} >> ~/log" }}\n'.format
    sandbox.vmfile(vmfile(settings=step("a") + step("b")))
    sandbox.ok("up")
    sandbox.vmfile(vmfile(settings=step("new") + step("a") + step("b") + step("a")))
    sandbox.ok("up")
    assert sandbox.ok("ssh", "web", "--", "cat log").out == "a\nb\nnew\na\n"


def steps_that_run_always(sandbox):
    sandbox.vmfile(
        vmfile(settings='provision "shell" run="always" { inline "echo again >> ~/log" }')
    )
    sandbox.ok("up")
    sandbox.ok("up")
    assert sandbox.ok("ssh", "web", "--", "cat log").out == "again\nagain\n"


def a_wrong_image_path(sandbox):
    sandbox.vmfile(vmfile(image="no-such.qcow2"))
    result = sandbox.fails(3, "image::not_found", "up")
    assert "no-such.qcow2" in result.err and "help:" in result.err, result
    sandbox.assert_nothing_left("web")


def an_ssh_key_that_is_none(sandbox):
    create = ["create", "one", "--image", harness.tiny(), "--ssh-key"]
    key = sandbox.write("key.pub", "ssh-ed25519 this-is-no-key me@here\n")
    result = sandbox.fails(2, "usage", *create, key)
    assert "ssh-key" in result.err, result
    sandbox.assert_nothing_left("one")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", sandbox.root / "k"], check=True)
    sandbox.ok(*create, sandbox.root / "k.pub")


def a_missing_qemu(sandbox):
    sandbox.vmfile(vmfile())
    result = sandbox.fails(1, "qemu::spawn_failed", "up", env={"VMCTL_QEMU": "/no/such/qemu"})
    assert "/no/such/qemu" in result.err and "help:" in result.err, result
    sandbox.assert_nothing_left("web")


def a_missing_qemu_img(sandbox):
    tools = sandbox.root / "bin"
    tools.mkdir()
    qemu = subprocess.check_output(["which", "qemu-system-x86_64"], text=True).strip()
    (tools / "qemu-system-x86_64").symlink_to(qemu)
    sandbox.vmfile(vmfile())
    result = sandbox.fails(1, "io", "up", env={"PATH": str(tools)})
    assert "qemu-img is not installed" in result.err, result
    sandbox.assert_nothing_left("web")


def an_image_with_a_backing_file_is_refused(sandbox):
    evil = sandbox.project / "evil.qcow2"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "/etc/hostname", evil, "1M"],
        check=True,
    )
    sandbox.vmfile(vmfile(image=evil))
    sandbox.fails(1, "image::unsafe", "up")
    sandbox.assert_nothing_left("web")


def a_qemu_that_refuses_says_why(sandbox):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        sandbox.vmfile(vmfile(settings=f'network "user" {{ forward {port} 80 }}'))
        result = sandbox.fails(1, "network::port_unavailable", "up")
        assert str(port) in result.err, result
    assert not sandbox.processes()
    sandbox.ok("up", "--no-provision")
    assert sandbox.status("web")["state"] == "running"


def a_qemu_that_dies_is_failed_and_starts_again(sandbox):
    sandbox.ok("create", "one", "--image", harness.tiny(), "--memory", "256", "--start")
    pid = sandbox.status("one")["pid"]
    assert pid > 0
    os.kill(pid, signal.SIGKILL)
    wait_for_end(pid)
    assert sandbox.status("one")["state"] == "failed"
    sandbox.ok("start", "one")
    assert sandbox.ok("ssh", "one", "--", "hostname").out == "one\n"
    sandbox.ok("destroy", "one", "--yes")
    sandbox.assert_nothing_left("one")


def slow_qemu(sandbox):
    """A QEMU that never gets to work: it has its lock, and stays between that and its pid file."""
    never = sandbox.root / "never"
    os.mkfifo(never)
    wrapper = sandbox.root / "slow-qemu"
    wrapper.write_text(f'#!/bin/sh\nread -r line <"{never}"\n')
    wrapper.chmod(0o755)
    return wrapper


def no_stranger_is_ever_signalled(sandbox):
    """The pid that a file names may be anybody's by now."""
    sandbox.ok("create", "one", "--image", harness.tiny(), "--memory", "256")
    with subprocess.Popen(["sleep", "600"]) as stranger:
        (sandbox.vm_dir("one") / "qemu.pid").write_text(f"{stranger.pid}\n")
        start = sandbox.popen("start", "one", env={"VMCTL_QEMU": str(slow_qemu(sandbox))})
        for line in start.stderr:
            if "starting" in line:
                break
        while not sandbox.processes():
            pass
        start.kill()
        start.wait()
        (sandbox.vm_dir("one") / "qemu.pid").write_text(f"{stranger.pid}\n")
        sandbox.ok("stop", "one", "--force")
        alive = stranger.poll() is None
        stranger.kill()
    assert alive, "a process was killed that has nothing to do with vmctl"
    assert not sandbox.processes(), "the VM's own process was not ended"


def a_qemu_that_does_not_answer(sandbox):
    """A stopped QEMU delays nobody for long, and Ctrl+C is no order to kill it."""
    sandbox.ok("create", "one", "--image", harness.tiny(), "--memory", "256", "--start")
    pid = sandbox.status("one")["pid"]
    assert pid > 0
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    (vm,) = sandbox.list()
    assert time.monotonic() - began < 5 and vm["detail"] == "unresponsive", vm

    stop = sandbox.popen("stop", "one")
    for line in stop.stderr:
        if "stopping" in line:
            break
    stop.send_signal(signal.SIGINT)
    stop.communicate(timeout=30)
    assert stop.returncode == 130 and sandbox.status("one")["state"] == "running"

    assert "by force" in sandbox.ok("stop", "one", "--timeout", "1", deadline_s=60).err
    assert sandbox.status("one")["state"] == "stopped"


def another_client_does_not_cost_the_guest_its_time(sandbox):
    sandbox.vmfile(vmfile(settings='provision "shell" { inline "true" }'))
    sandbox.ok("up")
    with contextlib.ExitStack() as clients:
        for _ in range(2):
            client = clients.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(sandbox.vm_dir("web") / "qmp.sock"))
        down = sandbox.popen("down")
        for line in down.stderr:
            if "stopping" in line:
                break
    err = down.communicate(timeout=120)[1]
    assert down.returncode == 0 and "by force" not in err, err


def a_guest_loses_its_network(sandbox):
    sandbox.ok("create", "web", "--image", harness.tiny(), "--memory", "256", "--start")
    sandbox.ok("stop", "web", "--force")
    sandbox.vmfile(vmfile(settings='network "none"').replace("cloud-init", "// cloud-init"))
    sandbox.ok("up", "--adopt")
    status = sandbox.status("web")
    assert (status["ssh-host"], status["ssh-port"]) == (None, 0), status
    sandbox.fails(1, "vm::invalid_state", "ssh", "web", "--", "true")


def wait_for_end(pid, limit_s=10):
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    assert select.select([process], [], [], limit_s)[0], f"{pid} does not end"
    os.close(process)


def a_guest_that_ends_while_it_is_waited_for(sandbox):
    """Waiting for SSH ends at once with the VM, not at the deadline."""
    sandbox.vmfile(vmfile(settings='provision "shell" { inline "true" }'))
    up = sandbox.popen("up")
    for line in up.stderr:
        if "waiting for SSH" in line:
            break
    os.kill(sandbox.status("web")["pid"], signal.SIGKILL)
    out, err = up.communicate(timeout=30)
    assert up.returncode == 1 and "vm_manager::qemu::exited" in err, err


def interrupt_while_waiting(sandbox):
    sandbox.vmfile(vmfile(settings='provision "shell" { inline "true" }'))
    up = sandbox.popen("up")
    for line in up.stderr:
        if "waiting for SSH" in line:
            break
    up.send_signal(signal.SIGINT)
    out, err = up.communicate(timeout=30)
    assert up.returncode == 130 and "vm_manager::cancelled" in err, err
    assert sandbox.status("web")["state"] == "running"
    sandbox.ok("up")


def the_ssh_port_stays(sandbox):
    sandbox.ok("create", "one", "--image", harness.tiny(), "--memory", "256", "--start")
    port = sandbox.status("one")["ssh-port"]
    sandbox.ok("stop", "one", "--force")
    sandbox.ok("start", "one")
    assert sandbox.status("one")["ssh-port"] == port
    sandbox.ok("stop", "one", "--force")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        sandbox.ok("start", "one")
        assert sandbox.status("one")["ssh-port"] not in (0, port)


def an_isolated_guest_is_still_reached(sandbox):
    sandbox.vmfile(vmfile(settings='network "isolated"; provision "shell" { inline "echo in" }'))
    assert "in\n" in sandbox.ok("up").out
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        reach = f"nc -w 3 10.0.2.2 {server.getsockname()[1]} </dev/null && echo reached"
        assert "reached" not in sandbox.vmctl("ssh", "web", "--", reach).out


def another_host_key_is_refused(sandbox):
    sandbox.vmfile(vmfile(settings='provision "shell" { inline "true" }'))
    sandbox.ok("up")
    pinned = sandbox.vm_dir("web") / "known_hosts"
    key = sandbox.root / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    pinned.write_text("web " + (sandbox.root / "other.pub").read_text())
    sandbox.vmfile(vmfile(settings='provision "shell" { inline "echo changed" }'))
    sandbox.fails(1, "ssh::host_key_mismatch", "up")
    assert sandbox.vmctl("ssh", "web", "--", "true").status == 255


def uefi(sandbox):
    sandbox.vmfile(vmfile(settings='uefi #true; provision "shell" { inline "ls /sys/firmware" }'))
    assert "efi" in sandbox.ok("up").out


def odd_paths(sandbox):
    """Commas, spaces and quotes in paths, and sockets far deeper than 107 bytes."""
    deep = sandbox.root / "deep, \"and\" odd" / ("x" * 120)
    deep.mkdir(parents=True)
    image = deep / "ti,ny =1.qcow2"
    image.symlink_to(os.path.realpath(harness.tiny()))
    sandbox.data = deep / "data"
    sandbox.environment["XDG_DATA_HOME"] = str(sandbox.data)
    sandbox.vmfile(vmfile(image=image, settings='provision "shell" { inline "echo fine" }'))
    assert "fine\n" in sandbox.ok("up").out
    assert sandbox.ok("ssh", "web", "--", "echo also").out == "also\n"
    sandbox.ok("down", "--destroy")
    sandbox.assert_nothing_left("web")


def doctor_tells_what_works(sandbox):
    result = sandbox.ok("doctor")
    assert "qemu-img" in result.out and "kvm" in result.out, result


harness.main(
    [
        whole_life,
        a_failing_step_stops_and_is_resumed,
        a_new_step_does_not_repeat_the_others,
        steps_that_run_always,
        a_wrong_image_path,
        an_ssh_key_that_is_none,
        a_missing_qemu,
        a_missing_qemu_img,
        an_image_with_a_backing_file_is_refused,
        a_qemu_that_refuses_says_why,
        a_qemu_that_dies_is_failed_and_starts_again,
        no_stranger_is_ever_signalled,
        a_qemu_that_does_not_answer,
        another_client_does_not_cost_the_guest_its_time,
        a_guest_loses_its_network,
        a_guest_that_ends_while_it_is_waited_for,
        interrupt_while_waiting,
        the_ssh_port_stays,
        an_isolated_guest_is_still_reached,
        another_host_key_is_refused,
        uefi,
        odd_paths,
        doctor_tells_what_works,
    ]
)
