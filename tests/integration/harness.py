# SPDX-License-Identifier: MPL-2.0
"""What the integration and acceptance tests share: a vmctl with a data folder of its own, and a
runner that prints TAP. Standard library only.

A test is a function that takes a Sandbox and raises when something is not as it should be. Whatever
happens, the runner shows the consoles of a failed test's guests, destroys its VMs and checks that
no process of theirs is left.
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback

BUILD = pathlib.Path(os.environ["VM_TEST_BUILD"]).resolve()
GUESTS = pathlib.Path(os.environ["VM_TEST_GUESTS"]).resolve()
VMCTL = BUILD / "src" / "vmctl"
DEADLINE_S = 600


class Result:
    def __init__(self, process):
        self.status = process.returncode
        self.out = process.stdout
        self.err = process.stderr

    def __str__(self):
        return f"status {self.status}\n--- stdout\n{self.out}--- stderr\n{self.err}---"


class Sandbox:
    """A folder with a project and a data folder, and vmctl to be run there."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.project = self.root / "project"
        self.project.mkdir(parents=True)
        self.data = self.root / "data"
        self.children = []
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("VMCTL_")},
            "XDG_DATA_HOME": str(self.data),
            "VMCTL_ACCEL": "tcg",
            "LC_ALL": "C.UTF-8",
        }

    def vmctl(self, *args, cwd=None, env=None, stdin=subprocess.DEVNULL, deadline_s=DEADLINE_S):
        return Result(
            subprocess.run(
                [str(VMCTL), *map(str, args)],
                cwd=cwd or self.project,
                env={**self.environment, **(env or {})},
                stdin=stdin,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=deadline_s,
            )
        )

    def popen(self, *args, env=None):
        """A vmctl that goes on while the test does; ended with the test at the latest."""
        child = subprocess.Popen(
            [str(VMCTL), *map(str, args)],
            cwd=self.project,
            env={**self.environment, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.children.append(child)
        return child

    def ok(self, *args, **more):
        result = self.vmctl(*args, **more)
        assert result.status == 0, f"vmctl {' '.join(map(str, args))}: {result}"
        return result

    def fails(self, status, code, *args, **more):
        result = self.vmctl(*args, **more)
        assert result.status == status, f"expected status {status}: {result}"
        assert f"Error: vm_manager::{code}\n" in result.err, f"expected {code}: {result}"
        return result

    def write(self, name, text, mode=0o644):
        path = self.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def vmfile(self, text):
        return self.write("VMFile.kdl", text)

    def status(self, name):
        return json.loads(self.ok("status", name, "--json").out)

    def list(self):
        return json.loads(self.ok("list", "--json").out)

    def vm_dir(self, name):
        return self.data / "vmctl" / "vms" / name

    def processes(self):
        """Pids whose working folder lies in the data folder: the QEMUs of this sandbox."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if not entry.name.isdigit():
                    continue
                if pathlib.Path(os.readlink(entry / "cwd")).is_relative_to(self.data):
                    found.append(int(entry.name))
            except OSError:
                pass  # gone, or not ours
        return found

    def assert_nothing_left(self, name):
        assert not self.vm_dir(name).exists(), f"the folder of {name} is left"
        assert name not in [vm["name"] for vm in self.list()], f"the row of {name} is left"
        assert not self.processes(), f"processes are left: {self.processes()}"

    def show_logs(self):
        for log in sorted(self.root.glob("**/vms/*/*.log")):
            text = log.read_text(errors="replace").splitlines()[-40:]
            print(f"# {log.relative_to(self.root)}:")
            for line in text:
                print(f"#   {line}")

    def tear_down(self):
        """Ends what the test left. True when there was nothing out of reach of vmctl itself."""
        for child in self.children:
            child.kill()
            child.communicate()
        try:
            self.vmctl("destroy", "--all", "--yes", deadline_s=60)
        finally:
            left = self.processes()
            for pid in left:
                os.kill(pid, signal.SIGKILL)
        return not left


def tiny():
    """The path of the tiny guest's image."""
    return GUESTS / "tiny.qcow2"


def run_one(number, test):
    root = tempfile.mkdtemp(prefix="vmctl-test-")
    sandbox = Sandbox(root)
    failure = None
    try:
        test(sandbox)
    except Exception:
        failure = traceback.format_exc()
        sandbox.show_logs()
    try:
        if not sandbox.tear_down() and failure is None:
            failure = "a process was left that `vmctl destroy` did not end"
    except Exception:
        failure = failure or traceback.format_exc()
    shutil.rmtree(root, ignore_errors=True)
    for line in (failure or "").splitlines():
        print(f"# {line}")
    print(f"{'ok' if failure is None else 'not ok'} {number} - {test.__name__}", flush=True)
    return failure is None


def main(tests):
    """Runs all of @tests, or those named on the command line."""
    chosen = [t for t in tests if not sys.argv[1:] or t.__name__ in sys.argv[1:]]
    print(f"1..{len(chosen)}", flush=True)
    results = [run_one(i + 1, test) for i, test in enumerate(chosen)]
    sys.exit(0 if all(results) else 1)
