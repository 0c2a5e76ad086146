# SPDX-License-Identifier: Apache-2.0
"""Result files in the formats of other tools.

CSV and Parquet have every trial, with its flags; the benchmark formats have valid trials alone, since their
readers know no flags, and as a trial's time that of one operation: 1 / throughput.
"""

import csv
import datetime
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from pybench.analysis.summary.tables import cell_settings, source, table
from pybench.errors import UnsupportedError, UsageError
from pybench.present.labels import varying
from pybench.results.names import text_of
from pybench.results.records import Cell, Trial
from pybench.results.store import Results


def export(files: Sequence[Results], format_name: str, target: Path | None, kind: str = "trials") -> str | None:
    """Write the files to `target`, or return them as text if it is None.

    `kind` is the table of CSV and Parquet. Raises UsageError for what cannot be written, UnsupportedError if a
    library is missing.
    """
    if format_name not in FORMATS:
        raise UsageError(f"no format {format_name!r}; there are {', '.join(FORMATS)}")
    if kind != "trials" and format_name not in TABLES:
        raise UsageError(f"--table is for {' and '.join(TABLES)}; {format_name} has benchmarks")
    data = FORMATS[format_name](files, kind)
    if target is None:
        if isinstance(data, bytes):
            raise UsageError(f"{format_name} is no text; name a file with -o")
        return data
    try:
        target.write_bytes(data if isinstance(data, bytes) else data.encode())
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error.strerror}; name a writable file") from None
    return None


def format_of(path: Path) -> str:
    """The format that a file's name ends in. Raises UsageError if that leaves a choice."""
    known = {".csv": "csv", ".parquet": "parquet", ".txt": "go"}
    if path.suffix not in known:
        raise UsageError(f"{path.name}: its ending does not tell the format; choose from {', '.join(FORMATS)}")
    return known[path.suffix]


def _csv(files: Sequence[Results], kind: str) -> str:
    columns = table(files, kind)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


def _parquet(files: Sequence[Results], kind: str) -> bytes:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UnsupportedError("Parquet needs pyarrow: pip install 'pybench-locks[export]'") from None
    made = pyarrow.table(table(files, kind))
    headers = msgspec.json.encode({text_of(file.path): file.header for file in files})
    made = made.replace_schema_metadata({"pybench.table": kind, "pybench.headers": headers})
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(made, buffer)
    return buffer.getvalue()


class _Benchmark(msgspec.Struct, frozen=True):
    """A cell with valid trials, as the benchmark formats want it."""

    file: Results
    index: int
    cell: Cell
    settings: dict[str, Any]
    """What varies among the cells of all files, by name."""
    trials: list[Trial]

    @property
    def seconds(self) -> list[float]:
        """Of one operation, by trial."""
        return [1 / t.figures.throughput for t in self.trials if t.figures]

    def name(self, between: str, first: str) -> str:
        """The workload and what varies."""
        words = [first, *(f"{name}={value}" for name, value in self.settings.items())]
        return between.join(words)


def _benchmarks(files: Sequence[Results]) -> Iterator[_Benchmark]:
    every = [cell for file in files for cell in file.header.plan.cells]
    names = varying(every)
    many_threads = len({cell.threads for cell in every}) > 1
    found = False
    for file in files:
        for index, cell in enumerate(file.header.plan.cells):
            own = cell_settings(cell)
            shown = [n for n in (["threads"] if many_threads else []) + names if n in own]
            trials = [
                t for t in file.trials if t.cell == index and t.valid and t.figures and t.figures.throughput > 0
            ]
            if trials:
                found = True
                yield _Benchmark(file, index, cell, {name: own[name] for name in shown}, trials)
    if not found:
        raise UsageError("no valid trial in these files, so nothing to export; --format csv has the flagged ones")


def _pytest_benchmark(files: Sequence[Results], _: str) -> str:
    try:
        from pytest_benchmark import __version__
        from pytest_benchmark import stats as statistics
    except ImportError:
        raise UnsupportedError("this format needs pytest-benchmark: pip install 'pybench-locks[pytest]'") from None
    make_stats: Any = statistics.Stats
    entries = []
    for one in _benchmarks(files):
        stats = make_stats()
        for seconds in one.seconds:
            stats.update(seconds)
        param = "-".join(f"{name}={value}" for name, value in one.settings.items())
        name = f"{one.cell.workload}[{param}]" if param else one.cell.workload
        entries.append(
            {
                "group": one.cell.workload,
                "name": name,
                "fullname": f"pybench::{name}",
                "params": one.settings or None,
                "param": param or None,
                "extra_info": {
                    **cell_settings(one.cell),
                    "source": source(one.file.header),
                    "file": text_of(one.file.path),
                    "trials": sum(1 for t in one.file.trials if t.cell == one.index),
                    "valid": len(one.trials),
                },
                "options": {"timer": "pybench"},
                "stats": {**stats.as_dict(), "data": one.seconds, "iterations": 1},
            }
        )
    host = files[0].header.host
    made = {
        "machine_info": {
            "node": host.get("name") or "",
            "system": "Linux",
            "release": (host.get("kernel") or {}).get("release"),
            "machine": _machine(host),
            "cpu": {"brand_raw": (host.get("cpu") or {}).get("model"), "arch": _machine(host)},
        },
        "commit_info": {"id": "unversioned", "dirty": False, "time": None, "project": "pybench"},
        "benchmarks": entries,
        "datetime": files[0].header.created,
        "version": __version__,
    }
    return json.dumps(made, indent=1)


def _pyperf(files: Sequence[Results], _: str) -> str:
    suite: list[dict[str, Any]] = [
        {
            "metadata": {
                "name": one.name(" ", one.cell.workload),
                "unit": "second",
                "hostname": one.file.header.host.get("name") or "host",
                "cpu_model_name": (one.file.header.host.get("cpu") or {}).get("model") or "unknown",
                "pybench_version": one.file.header.pybench,
                "pybench_source": source(one.file.header),
                "pybench_file": text_of(one.file.path),
                **{
                    f"pybench_{name}": value
                    if isinstance(value, int) and not isinstance(value, bool)
                    else str(value)
                    for name, value in cell_settings(one.cell).items()
                    if value not in ("", None)
                },
            },
            # Each trial has a crew of its own, as a pyperf run has a process of its own.
            "runs": [
                {
                    "values": [seconds],
                    "metadata": {
                        "date": _date(one.file, trial),
                        "duration": trial.seconds,
                        "loops": max(_operations(trial), 1),
                    },
                }
                for trial, seconds in zip(one.trials, one.seconds, strict=True)
            ],
        }
        for one in _benchmarks(files)
    ]
    names = [entry["metadata"]["name"] for entry in suite]
    if len(set(names)) < len(names):
        raise UsageError("pyperf takes one benchmark of a name: export one file at a time, then pyperf compare_to")
    return json.dumps({"version": "1.0", "benchmarks": suite})


def _date(file: Results, trial: Trial) -> str:
    """When it ran; a simulated trial has no date of its own, and its file's stands in."""
    made = datetime.datetime.fromisoformat(file.header.created).timestamp()
    return str(datetime.datetime.fromtimestamp(trial.started or made).isoformat(" ", "microseconds"))


_GO_UNITS = """\
Unit ns/op better=lower assume=nothing
Unit ops/s better=higher assume=nothing
Unit p50-ns better=lower assume=nothing
Unit p99-ns better=lower assume=nothing
Unit jain better=higher assume=nothing
"""


def _go(files: Sequence[Results], _: str) -> str:
    """The format of golang.org/design/14313-benchmark-format, with unit lines as benchstat reads them."""
    lines: list[str] = []
    now: Results | None = None
    for one in _benchmarks(files):
        if one.file is not now:
            now, header = one.file, one.file.header
            config = {
                "goos": "linux",
                "goarch": {"x86_64": "amd64", "aarch64": "arm64"}.get(
                    _machine(header.host), _machine(header.host)
                ),
                "pkg": "pybench",
                "cpu": (header.host.get("cpu") or {}).get("model") or "unknown",
                "host": header.host.get("name") or "host",
                "kernel": (header.host.get("kernel") or {}).get("release") or "unknown",
                "source": source(header),
            }
            lines += [f"{key}: {' '.join(str(value).split())}" for key, value in config.items()]
            lines += _GO_UNITS.splitlines()
        # `-N` at the end is the number of CPUs to every reader of the format; without it a place 0-7 would be.
        words = [f"{n}={_go_word(value)}" for n, value in one.settings.items() if n != "threads"]
        name = "/".join([f"Benchmark{one.cell.workload.title()}", *words]) + f"-{one.cell.threads}"
        for trial in one.trials:
            figures = trial.figures
            if figures:
                lines.append(
                    f"{name}\t{max(_operations(trial), 1)}\t{1e9 / figures.throughput:.6g} ns/op"
                    f"\t{figures.throughput:.6g} ops/s\t{figures.p50_ns:.6g} p50-ns\t{figures.p99_ns:.6g} p99-ns"
                    f"\t{figures.jain:.6g} jain"
                )
    return "\n".join(lines) + "\n"


def _go_word(value: Any) -> str:
    return re.sub(r"[\s/]+", "_", str(value)) or "none"


def _operations(trial: Trial) -> int:
    members = trial.outcome.members
    if members is None:
        return 0
    return sum(count for i, count in enumerate(members.operations) if members.is_main(i))


def _machine(host: Mapping[str, Any]) -> str:
    return str((host.get("kernel") or {}).get("machine") or "x86_64")


TABLES = ("csv", "parquet")
FORMATS: Mapping[str, Callable[[Sequence[Results], str], str | bytes]] = {
    "csv": _csv,
    "parquet": _parquet,
    "pytest-benchmark": _pytest_benchmark,
    "pyperf": _pyperf,
    "go": _go,
}
