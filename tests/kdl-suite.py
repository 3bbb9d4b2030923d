#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Runs the conformance cases of the KDL project through kdl-canon and prints TAP.

usage: kdl-suite.py KDL-CANON DATA-FOLDER

The data folder holds `test_cases` (KDL 2) and `v1_test_cases` (KDL 1), each with `input/X.kdl` and,
for those that are valid, `expected_kdl/X.kdl`. The cases are not part of this repository: their
licence is one for documents. Without them the test is skipped.
"""

import pathlib
import subprocess
import sys

SUITES = (("2", "test_cases"), ("1", "v1_test_cases"))


def check(canon, version, case, expected):
    """Returns what went wrong with one case, or None."""
    command = [canon, "--kdl-version", version, str(case)]
    run = subprocess.run(command, capture_output=True, timeout=10, check=False)
    if expected is None:
        if run.returncode != 1 or not run.stderr:
            return f"not rejected: exit {run.returncode}, printed {run.stdout!r}"
    elif run.returncode != 0:
        return f"rejected: exit {run.returncode}, {run.stderr.decode(errors='replace')!r}"
    elif run.stdout != expected:
        return f"printed {run.stdout!r} instead of {expected!r}"
    return None


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    canon, data = sys.argv[1], pathlib.Path(sys.argv[2])
    number = failed = 0
    counts = []
    for version, folder in SUITES:
        valid = rejected = 0
        for case in sorted((data / folder / "input").glob("*.kdl")):
            wanted = data / folder / "expected_kdl" / case.name
            expected = wanted.read_bytes() if wanted.exists() else None
            valid += expected is not None
            rejected += expected is None
            number += 1
            fault = check(canon, version, case, expected)
            failed += fault is not None
            print(f"{'not ok' if fault else 'ok'} {number} - KDL {version}: {case.stem}")
            if fault:
                print(f"# {fault}")
        counts.append(f"KDL {version}: {valid} to accept, {rejected} to reject")
    if number == 0:
        print("1..0 # SKIP no cases")
        return 0
    print(f"1..{number}")
    print(f"# ran {'; '.join(counts)}; {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
