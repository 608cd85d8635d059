"""Processes that a trial started: each is stopped at its end, by its own id, however the trial ends."""

import atexit
import subprocess

started = []


@atexit.register
def stop_everything():
    for process in reversed(started):
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
