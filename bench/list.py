#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""How long `vmctl list` takes with many VMs, none of which runs.

usage: list.py VMCTL [COUNT…]

Makes one VM of the noop backend, copies its record and folder under other names, and prints the
median of several runs for each count.
"""

import json
import os
import pathlib
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

RUNS = 7


def populate(data, count):
    database = sqlite3.connect(data / "vmctl" / "vmctl.db")
    vms = data / "vmctl" / "vms"
    columns = "backend, origin, phase, created_s, handle"
    (backend, origin, phase, created, handle) = database.execute(
        f"SELECT {columns} FROM vm WHERE name = 'vm-0'"
    ).fetchone()
    rows = []
    for number in range(1, count):
        copy = json.loads(handle)
        copy["spec"]["name"] = name = f"vm-{number}"
        copy["dir"] = str(vms / name)
        shutil.copytree(vms / "vm-0", vms / name)
        rows.append((name, backend, origin, phase, created, json.dumps(copy)))
    database.executemany(f"INSERT INTO vm (name, {columns}) VALUES (?, ?, ?, ?, ?, ?)", rows)
    database.commit()
    database.close()


def measure(vmctl, environment):
    times = []
    for _ in range(RUNS):
        began = time.monotonic()
        subprocess.run([vmctl, "list"], env=environment, stdout=subprocess.DEVNULL, check=True)
        times.append(time.monotonic() - began)
    return statistics.median(times) * 1000


def main():
    vmctl = sys.argv[1]
    for count in [int(word) for word in sys.argv[2:]] or [0, 1000, 10000]:
        with tempfile.TemporaryDirectory() as folder:
            data = pathlib.Path(folder)
            environment = {**os.environ, "XDG_DATA_HOME": folder}
            if count > 0:
                (data / "disk").write_bytes(bytes(1 << 20))
                arguments = ["create", "vm-0", "--backend", "noop", "--image", data / "disk"]
                subprocess.run([vmctl, "-q", *arguments], env=environment, check=True)
                populate(data, count)
            print(f"list of {count:6d} VMs: {measure(vmctl, environment):8.1f} ms")


main()
