"""What a command uses."""

import collections
import os
import signal
import subprocess
import sys
import time

Used = collections.namedtuple("Used", "cpu wall peak error")


def run(command, until=None):
    """CPU seconds and peak megabytes of a command, or of a command that is killed when `until` is true."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while until is not None and not until() and os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        time.sleep(0.002)
    if until is not None:
        process.kill()
    _, status, used = os.wait4(process.pid, 0)
    if status != (signal.SIGKILL if until else 0):
        sys.exit(f"{command[0]} failed")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def used(command, **environment):
    """CPU seconds of a command and its children, seconds, peak megabytes of the largest of them, and why it failed, if it did."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )
    errors = process.stderr.read().strip().splitlines() or ["stopped"]
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    error = next((line for line in reversed(errors) if "rror" in line), errors[-1]) if status != 0 else None
    return Used(usage.ru_utime + usage.ru_stime, time.perf_counter() - started, usage.ru_maxrss / 1024, error)
