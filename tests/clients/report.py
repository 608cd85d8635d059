"""What held and what did not, and the table at the end."""

import contextlib
import threading
import time


class Report:
    """Facts, each under the heading of what was run."""

    def __init__(self):
        self.rows = {}
        self.lock = threading.Lock()

    def fact(self, heading, fact, held, detail=""):
        with self.lock:
            row = self.rows.setdefault(heading, {"held": 0, "failed": [], "seconds": 0.0})
            if held:
                row["held"] += 1
            else:
                row["failed"].append(f"{fact}: {detail}" if detail else fact)
                print(f"FAILED  {heading}: {fact}: {detail}", flush=True)

    @contextlib.contextmanager
    def timed(self, heading):
        """Whatever is raised within is a failed fact, and the run goes on."""
        began = time.monotonic()
        try:
            yield
        except Exception as error:
            self.fact(heading, "ran to its end", False, f"{type(error).__name__}: {error}")
        finally:
            with self.lock:
                row = self.rows.setdefault(heading, {"held": 0, "failed": [], "seconds": 0.0})
                row["seconds"] += time.monotonic() - began

    def case(self, heading, fact, check):
        """Runs a check that raises if its fact does not hold."""
        with self.timed(heading):
            try:
                check()
            except Exception as error:
                kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
                self.fact(heading, fact, False, f"{kind}{error}")
            else:
                self.fact(heading, fact, True)

    def table(self):
        width = max(map(len, self.rows), default=0)
        lines = []
        for heading, row in self.rows.items():
            verdict = "FAILED" if row["failed"] else "passed"
            count = f"{row['held']} of {row['held'] + len(row['failed'])}"
            lines.append(f"{verdict}  {heading:<{width}}  {count:>9}  {row['seconds']:6.1f} s")
        held = sum(row["held"] for row in self.rows.values())
        failed = sum(len(row["failed"]) for row in self.rows.values())
        return "\n".join([*lines, f"{held} facts held, {failed} did not"])

    def failed(self):
        return not self.rows or any(row["failed"] for row in self.rows.values())


def expect(held, otherwise):
    """Like assert, but there in optimised runs too, and it always says what came instead."""
    if not held:
        raise AssertionError(otherwise)
