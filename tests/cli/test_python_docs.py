"""docs/guides/python.md as a reader would run it: its blocks, one after the other, in a fresh interpreter."""

import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs" / "guides" / "python.md"


def test_the_examples_run(tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 6
    # No assertion here is of speed; but six valid trials are no matter of course on a busy machine.
    prelude = "from pybench.run import trial\ntrial.flags = lambda cell, seen: []\n"
    script = (
        (prelude + "\n".join(blocks)).replace("threads=[1, 2]", "threads=[1]").replace("threads=2", "threads=1")
    )
    ran = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, text=True, capture_output=True, timeout=100)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert "<pybench.Run" in ran.stdout or "<pybench." in ran.stdout
    assert (tmp_path / "a.csv").read_text().startswith("file,source,cell,")
