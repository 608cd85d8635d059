"""What is known to differ, and the reasons for it: in a file beside a trial, and in the same words on a page."""

import re


def reasons_in(file):
    """Each reason, and what stands under it, line by line."""
    reasons = {}
    for block in re.split(r"\n\s*\n", file.read_text()):
        lines = block.strip().splitlines()
        entries = [line.strip() for line in lines if not line.startswith("#")]
        if entries:
            reason = " ".join(line[1:].strip() for line in lines if line.startswith("#"))
            reasons.setdefault(reason, set()).update(entries)
    return reasons


def written_reasons(page, heading):
    """The reasons that a page lists under a heading."""
    _, _, rest = page.read_text().partition(heading + "\n")
    section = re.split(r"^#", rest, maxsplit=1, flags=re.M)[0]
    items = re.findall(r"^- (.*(?:\n  .*)*)", section, re.M)
    return [" ".join(item.split()) for item in items]
