"""The README's examples run, one after the other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[1] / "README.md"


@pytest.mark.filterwarnings("ignore")
def test_the_examples_of_the_readme_run(capsys):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S)
    assert len(blocks) >= 4
    names: dict[str, object] = {}
    exec(compile(blocks[0], "README.md", "exec"), names)
    assert capsys.readouterr().out == "agent.researcher may tools:call:search for user:alice\n"
    for block in blocks[1:]:
        for library in re.findall(r"^(?:import|from) (\w+)", block, re.M):
            pytest.importorskip(library)
        exec(compile(block, "README.md", "exec"), names)
