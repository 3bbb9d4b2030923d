#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""The promise of the README on a real Debian with systemd and cloud-init."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "integration"))
import harness  # noqa: E402

VMFILE = """
vm "box" {{
    image "{image}"
    memory 512
    cloud-init {{
        hostname "acceptance"
        user-data "user-data.yaml"
    }}
    provision "shell" {{ inline "echo inline on $(hostname) as $(id -un)" }}
    provision "shell" {{ script "setup.sh" }}
    provision "file" {{ source "site"; destination "/home/vm/site" }}
}}
"""

# The user's own cloud-config, with users of its own: it has to arrive untouched, and vmctl's way in
# beside it.
USER_DATA = """#cloud-config
users:
  - name: own
    shell: /bin/bash
write_files:
  - path: /etc/own-file
    content: "made by user-data\\n"
"""


def whole_life(sandbox):
    sandbox.write("user-data.yaml", USER_DATA)
    sandbox.write("setup.sh", "#!/bin/bash\necho script $BASH_VERSION\nsudo touch /root/set-up\n")
    sandbox.write("site/index.html", "<h1>hello</h1>\n")
    sandbox.vmfile(VMFILE.format(image=harness.GUESTS / "debian.qcow2"))

    up = sandbox.ok("up")
    assert "inline on acceptance as vm" in up.out and "script 5." in up.out, up
    assert sandbox.ok("ssh", "box", "--", "hostname").out == "acceptance\n"
    sandbox.ok("ssh", "box", "--", "cloud-init status --wait")
    seen = sandbox.ok("ssh", "box", "--", "cat /etc/own-file site/index.html; id -un own").out
    assert seen == "made by user-data\n<h1>hello</h1>\nown\n", seen

    down = sandbox.ok("down", deadline_s=120)
    assert "by force" not in down.err, down
    assert sandbox.status("box")["state"] == "stopped"

    again = sandbox.ok("up", "--no-provision")
    assert "step" not in again.err, again
    assert sandbox.ok("ssh", "box", "--", "cat site/index.html; sudo ls /root").out == (
        "<h1>hello</h1>\nset-up\n"
    )
    sandbox.ok("down", "--destroy")
    sandbox.assert_nothing_left("box")


harness.main([whole_life])
