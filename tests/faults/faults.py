# SPDX-License-Identifier: MPL-2.0
"""What the fault tests share: vmctl under the shim that counts its calls and interferes with one of
them, guests of 512 bytes, what must hold after every fault, and a runner that prints TAP.

VM_FAULTS says how much is done: `gate` (the default) takes minutes, `nightly` does everything.
"""

import atexit
import collections
import concurrent.futures
import ctypes
import functools
import json
import mmap
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "integration"))
import harness  # noqa: E402

NIGHTLY = os.environ.get("VM_FAULTS", "gate") == "nightly"
SEED = int(os.environ.get("VM_FAULTS_SEED", "1"))
WORKERS = 2
QUICK_S = 60  # no command that waits for nothing takes that long, however busy the machine is

DOCUMENTED = {0, 1, 2, 3, 4, 130}  # exit statuses


class Skip(Exception):
    """Why a test cannot be run here."""


def choose(gate, nightly):
    return nightly if NIGHTLY else gate


# ---------------------------------------------------------------------------------- the shim

CREATE, OPEN, WRITE, SEND, SYNC, RENAME, UNLINK, MKDIR, TRUNCATE = (1 << i for i in range(9))
LOCK, SOCKET, FORK, EXEC, CHMOD, LINK, SIGNAL, MAKE_FD = (1 << i for i in range(9, 17))

# What another process, or the next command, can see.
CHANGING = (
    CREATE | WRITE | SEND | SYNC | RENAME | UNLINK | MKDIR | TRUNCATE | LOCK | SOCKET | FORK
) | (EXEC | CHMOD | LINK | SIGNAL)
# What a full or failing disk makes fail.
STORING = CREATE | WRITE | SYNC | RENAME | MKDIR | TRUNCATE | LINK
# What fails in a process that has no descriptor left.
OPENING = CREATE | OPEN | MAKE_FD

NOTHING, SIGNAL_VMCTL, FAIL_ONCE, FAIL_FROM_THEN_ON, HOLD = range(5)


@functools.cache
def shim_library():
    folder = tempfile.mkdtemp(prefix="vmctl-shim-")
    library = os.path.join(folder, "shim.so")
    source = pathlib.Path(__file__).with_name("shim.c")
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-O1", "-g", "-o", library, str(source), "-ldl"], check=True
    )
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return library


Interference = collections.namedtuple(
    "Interference", "action value kinds delay_ms", defaults=(0, CHANGING, 0)
)


class Shim:
    """The file that the shim maps. One command at a time runs under it."""

    LAYOUT = struct.Struct("=QQIIIIiIq64s")

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.path.write_bytes(bytes(4096))
        with open(self.path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 4096)

    def arm(self, interference, at):
        self.map[: self.LAYOUT.size] = self.LAYOUT.pack(
            0, at, interference.action, interference.value, interference.kinds, 0, 0,
            interference.delay_ms, 0, b"",
        )  # fmt: skip

    def _fields(self):
        return self.LAYOUT.unpack_from(self.map)

    count = property(lambda self: self._fields()[0])
    fired = property(lambda self: self._fields()[5] != 0)
    pid = property(lambda self: self._fields()[6])
    call = property(lambda self: self._fields()[9].split(b"\0")[0].decode(errors="replace"))

    def assert_loaded(self):
        """A library that cannot be preloaded is only a warning: nothing would have been tested."""
        assert self.pid != 0, f"{shim_library()} was not loaded into vmctl"

    def release(self):
        """Ends a HOLD."""
        struct.pack_into("=I", self.map, 16, NOTHING)

    def shift_clock(self, seconds):
        struct.pack_into("=q", self.map, 40, seconds)

    def environment(self, log=None):
        more = {"LD_PRELOAD": shim_library(), "FAULTS_SHARED": str(self.path)}
        if log is not None:
            more["FAULTS_LOG"] = str(log)
        # AddressSanitizer wants to be the first library; behind this one it works as well.
        asan = os.environ.get("ASAN_OPTIONS", "")
        more["ASAN_OPTIONS"] = f"{asan}:verify_asan_link_order=0"
        return more


# ---------------------------------------------------------------------------------- guests


def guest(code):
    """A disk of 1 MiB whose boot sector is @code; SeaBIOS boots no smaller one."""
    return bytes.fromhex(code).ljust(510, b"\0") + b"\x55\xaa" + bytes((1 << 20) - 512)


READY = "baf803 b052 ee "  # outb $'R', $0x3f8: a letter on the console
POWER_OFF = "ba0406 b80020 ef fa f4 ebfd"  # outw $0x2000, $0x604, and halts for good

GUESTS = {
    # cli; 1: hlt; jmp 1b: hears no power button
    "deaf": guest(READY + "fa f4 ebfd"),
    # powers off as soon as it runs
    "leaving": guest(POWER_OFF),
    # Enables the power button at 0x602, looks at 0x600 whenever the timer ticks, powers off.
    "obedient": guest("ba0206 b80001 ef " + READY + "fb ba0006 f4 ed f6c401 74f9" + POWER_OFF),
}


# ---------------------------------------------------------------------------------- sandbox


class Sandbox(harness.Sandbox):
    def __init__(self, root):
        super().__init__(root)
        self.shim = Shim(self.root / "shim")
        self.disk = self.project / "disk.raw"
        self.disk.write_bytes(b"\0" * (1 << 20))
        self.saved = self.root / "saved"

    @property
    def folder(self):
        return self.data / "vmctl"

    @property
    def database(self):
        return self.folder / "vmctl.db"

    def guest_image(self, kind):
        path = self.project / f"{kind}.raw"
        if not path.exists():
            path.write_bytes(GUESTS[kind])
        return path

    def create_noop(self, *names):
        for name in names:
            self.ok("create", name, "--image", self.disk, "--backend", "noop")

    def create_guest(self, name, kind="obedient", *more):
        image = self.guest_image(kind)
        self.ok("create", name, "--image", image, "--memory", "16", *more)
        if "--start" in more and kind != "leaving":
            self.await_guest(name)

    def start_guest(self, name):
        (self.vm_dir(name) / "console.log").unlink(missing_ok=True)
        self.ok("start", name)
        self.await_guest(name)

    def await_guest(self, name):
        """Until the guest itself runs and hears the power button if it ever does."""
        log = self.vm_dir(name) / "console.log"
        wait_until(lambda: log.exists() and "R" in log.read_text(errors="replace"), "it boots", 30)

    def run(self, argv, env=None, deadline_s=QUICK_S, preexec=None, stdin=subprocess.DEVNULL):
        """Like vmctl(), but nothing that outlives the command can hold its streams open."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            process = subprocess.Popen(
                list(map(str, argv)),
                cwd=self.project,
                env={**self.environment, **(env or {})},
                stdin=stdin,
                stdout=out,
                stderr=err,
                preexec_fn=preexec,
            )
            try:
                process.wait(deadline_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise AssertionError(f"{' '.join(map(str, argv))} takes over {deadline_s} s")
            for stream in (out, err):
                stream.seek(0)
            process.stdout, process.stderr = (
                stream.read().decode(errors="replace") for stream in (out, err)
            )
            return harness.Result(process)

    def interfered(self, argv, interference, at=0, deadline_s=QUICK_S, env=None):
        """vmctl with @interference at its call number @at; whether it came to it tells the shim."""
        self.shim.arm(interference, at)
        environment = {**self.shim.environment(), **(env or {})}
        result = self.run([harness.VMCTL, *argv], environment, deadline_s)
        self.shim.assert_loaded()
        return result

    def hold(self, argv, number, interference=Interference(HOLD)):
        """A vmctl that stands still at its call number @number, until shim.release()."""
        self.shim.arm(interference, number)
        process = subprocess.Popen(
            [str(harness.VMCTL), *map(str, argv)],
            cwd=self.project,
            env={**self.environment, **self.shim.environment()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: self.shim.fired or process.poll() is not None, "the command holds still")
        assert self.shim.fired, f"{argv} ended before its call {number}"
        return process

    def calls(self, argv, kinds=CHANGING):
        """The calls that @argv makes, in order, as (call, what it is about)."""
        log = self.root / "calls"
        log.write_text("")
        self.shim.arm(Interference(NOTHING, 0, kinds), 0)
        result = self.run([harness.VMCTL, *argv], self.shim.environment(log))
        assert result.status == 0, result
        self.shim.assert_loaded()
        lines = [line.split(" ", 3) for line in log.read_text().splitlines()]
        return [(call, detail) for _, _, call, detail in lines]

    def save(self):
        """Keeps the data folder for restore(); no VM may run but on the noop backend."""
        shutil.rmtree(self.saved, ignore_errors=True)
        if self.data.exists():
            shutil.copytree(self.data, self.saved, symlinks=True)

    def restore(self):
        shutil.rmtree(self.data, ignore_errors=True)
        if self.saved.exists():
            shutil.copytree(self.saved, self.data, symlinks=True)

    def states(self):
        """What `list` says, by name."""
        listed = self.run([harness.VMCTL, "list", "--json"])
        assert listed.status == 0, f"list does not work: {listed}"
        return {vm["name"]: vm["state"] for vm in json.loads(listed.out)}

    def strays(self):
        """Processes that work in this sandbox."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and os.readlink(entry / "cwd").startswith(str(self.root)):
                    found.append(int(entry.name))
            except OSError:
                pass
        return found

    def qemus(self):
        """The pids of this sandbox's QEMUs."""
        found = []
        for pid in self.processes():
            try:
                if "qemu-system" in os.readlink(f"/proc/{pid}/exe"):
                    found.append(pid)
            except OSError:
                pass
        return found

    def assert_no_strays(self, deadline_s=5):
        wait_until(lambda: not self.strays(), "no process is left", deadline_s, self.strays)

    def assert_sound(self):
        """The database is whole."""
        if not self.database.exists():
            return
        connection = sqlite3.connect(self.database, timeout=10)
        try:
            found = connection.execute("PRAGMA integrity_check").fetchall()
            assert found == [("ok",)], f"integrity_check: {found}"
            assert not connection.execute("PRAGMA foreign_key_check").fetchall()
        finally:
            connection.close()

    def files(self, name):
        """What lies in the folder of VM @name."""
        folder = self.vm_dir(name)
        return sorted(p.name for p in folder.iterdir()) if folder.exists() else []

    def assert_clean(self, *kept):
        """Nothing is there but the store, the locks and the folders of the VMs @kept."""
        if not self.folder.exists():
            return
        known = {"vmctl.db", "vmctl.db-wal", "vmctl.db-shm", "vmctl.db-journal", "locks", "vms"}
        left = {p.name for p in self.folder.iterdir()} - known
        vms = self.folder / "vms"
        if vms.exists():
            left |= {f"vms/{p.name}" for p in vms.iterdir() if p.name not in kept}
        assert not left, f"left in the data folder: {sorted(left)}"

    def tear_down(self):
        try:
            self.run([harness.VMCTL, "destroy", "--all", "--yes"])
        except AssertionError:
            pass
        left = self.strays()
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return not left


def wait_until(condition, what, deadline_s=10, detail=None):
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, (
            f"after {deadline_s} s it is not so that {what}" + (f": {detail()}" if detail else "")
        )
        time.sleep(0.01)


def is_alive(pid):
    """Neither gone nor a zombie."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def timed(function, *args, **more):
    began = time.monotonic()
    result = function(*args, **more)
    return result, time.monotonic() - began


def assert_documented(result):
    """The command ended as the manual says: a known status, and an error in the usual form."""
    assert result.status >= 0, f"died of signal {-result.status}: {result}"
    assert result.status in DOCUMENTED, f"an exit status that is not documented: {result}"
    if result.status != 0:
        named = re.search(r"Error: vm_manager::\w+|\"code\":\"vm_manager::\w+", result.err)
        assert named, f"an error without a name: {result}"
    for noise in ("CRITICAL", "Assertion", "runtime error", "AddressSanitizer", "LeakSanitizer"):
        assert noise not in result.err, result


@functools.cache
def private_mounts():
    """From here on this process sees mounts of its own, which end with it. Before any thread."""
    libc = ctypes.CDLL(None, use_errno=True)
    clone_newns, ms_rec, ms_private = 0x20000, 0x4000, 1 << 18
    if libc.unshare(clone_newns) != 0 or libc.mount(b"none", b"/", None, ms_rec | ms_private, None):
        return os.strerror(ctypes.get_errno())
    return None


def need_private_mounts():
    reason = private_mounts()
    if reason is not None:
        raise Skip(f"mounting takes root: {reason}")


def need_tools(*tools):
    for tool in tools:
        if shutil.which(tool) is None:
            raise Skip(f"{tool} is not installed")


# ---------------------------------------------------------------------------------- many cases


def sweep(cases, run_case, sandbox, workers=WORKERS):
    """Runs @run_case (own_sandbox, case) for each of @cases, a few at a time, each worker in a
    sandbox of its own. All are tried; the failures come together. Returns how many there were."""
    cases = list(cases)
    assert cases, "there is nothing to try: that is no success"
    local = threading.local()
    made = []
    guard = threading.Lock()

    def work(case):
        if not hasattr(local, "sandbox"):
            with guard:
                local.sandbox = Sandbox(sandbox.root / f"worker-{len(made)}")
                made.append(local.sandbox)
        try:
            run_case(local.sandbox, case)
        except Exception as failure:
            text = str(failure) if isinstance(failure, AssertionError) else traceback.format_exc()
            for pid in local.sandbox.strays():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            return case, text
        return None

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        try:
            failures = [f for f in pool.map(work, cases) if f is not None]
        except BaseException:  # interrupted: nothing new is begun
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    left = [pid for own in made for pid in own.strays() if not own.tear_down()]
    print(f"# {len(cases) - len(failures)} of {len(cases)} passed", flush=True)
    shown = collections.Counter()
    for case, text in failures:
        kind = re.sub(r"\d+|worker-\S+", "N", text)[:400]
        shown[kind] += 1
        if shown[kind] <= 3:
            print(f"# failed: {case}")
            for line in text.splitlines()[:30]:
                print(f"#     {line}")
        else:
            print(f"# failed in the same way: {case}")
    assert not failures, f"{len(failures)} of {len(cases)} failed"
    assert not left, f"processes are left: {left}"


# ---------------------------------------------------------------------------------- runner


def scratch_folder():
    """Where sandboxes are. In memory unless there is time for a real disk's fsync."""
    memory = "/dev/shm"
    if "TMPDIR" in os.environ or NIGHTLY or not os.access(memory, os.W_OK):
        return None
    return memory if shutil.disk_usage(memory).free > 1 << 30 else None


def run_one(number, test):
    root = tempfile.mkdtemp(prefix="vmctl-faults-", dir=scratch_folder())
    sandbox = Sandbox(root)
    failure = skipped = None
    began = time.monotonic()
    try:
        test(sandbox)
    except Skip as reason:
        skipped = str(reason)
    except AssertionError as reason:
        frames = traceback.extract_tb(reason.__traceback__)
        own = [f for f in frames if "/faults/test-" in f.filename]
        place = f"line {own[-1].lineno}: " if own else ""
        failure = place + (str(reason) or (own[-1].line if own else "assertion"))
        sandbox.show_logs()
    except Exception:
        failure = traceback.format_exc()
        sandbox.show_logs()
    finally:
        try:
            if not sandbox.tear_down() and failure is None and skipped is None:
                failure = "a process was left that `vmctl destroy` did not end"
        except Exception:
            failure = failure or traceback.format_exc()
        shutil.rmtree(root, ignore_errors=True)
    for line in (failure or "").splitlines():
        print(f"# {line}")
    print(f"# {time.monotonic() - began:.1f} s")
    note = f" # SKIP {skipped}" if skipped is not None else ""
    print(f"{'ok' if failure is None else 'not ok'} {number} - {test.__name__}{note}", flush=True)
    return failure is None


def main(tests, nightly=()):
    """Runs all of @tests, of @nightly too when that was asked for, or those that are named."""
    every = [*tests, *nightly]
    if sys.argv[1:]:
        chosen = [t for t in every if t.__name__ in sys.argv[1:]]
    else:
        chosen = every if NIGHTLY else list(tests)
    print(f"1..{len(chosen)}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and so tidies up
    shim_library()
    results = [run_one(i + 1, test) for i, test in enumerate(chosen)]
    sys.exit(0 if all(results) else 1)
