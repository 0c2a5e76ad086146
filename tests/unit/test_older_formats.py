"""Files of earlier formats still read, with the numbers that the pybench of their day gave."""

from pathlib import Path

import pytest

from pybench.results.columns import read_columns
from pybench.results.store import read

FILES = sorted((Path(__file__).parents[1] / "data" / "results").glob("format-1-[msl]*.jsonl"))


@pytest.mark.parametrize("path", [p for p in FILES if "latency" not in p.name], ids=lambda path: path.stem)
def test_renamed_keys_of_format_1_keep_their_values(path: Path) -> None:
    """`max_spoiled` is `max_invalid`, `longest_run` is `longest_streak`, in both readers."""
    text, file = path.read_text(), read(path)
    assert file.header.format == 1 and f'"max_spoiled":{file.header.plan.max_invalid},' in text
    assert read_columns(path).header.plan == file.header.plan
    streaks = [t.outcome.members.longest_streak for t in file.trials if t.outcome.members]
    assert any(streaks) == ('"longest_run"' in text)
    assert all(str(one).replace(" ", "") in text for one in streaks if one)
