# SPDX-License-Identifier: Apache-2.0
"""Write result files in the formats of other tools.

CSV and Parquet have every trial, with its flags. The benchmark formats have valid trials alone, since their
readers know no flags; a trial's time there is that of one operation, 1 / throughput.
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

from pybench.errors import UnsupportedError, UsageError
from pybench.outputs import write_whole
from pybench.results.columns import METRICS
from pybench.results.records import Cell, Trial, cell_settings, varying
from pybench.results.store import Results, text_of
from pybench.results.tables import TABLES, Columns, FlatTable, source, table


def export(
    files: Sequence[Results],
    format_name: str,
    target: Path | None,
    kind: str = "trials",
    tables: Mapping[str, FlatTable] = TABLES,
) -> str | None:
    """Write the files to `target`, or return them as text if it is None.

    `kind` names one of `tables`, for CSV and Parquet. Raises UsageError for what cannot be written, and
    UnsupportedError if a library is missing.
    """
    if format_name not in FORMATS:
        raise UsageError(f"no format {format_name!r}; there are {', '.join(FORMATS)}")
    if kind != "trials" and format_name not in TABULAR:
        raise UsageError(f"--table is for {' and '.join(TABULAR)}; {format_name} has benchmarks")
    data: str | bytes
    if format_name in TABULAR:
        data = TABULAR[format_name](files, kind, table(files, kind, tables))
    else:
        data = BENCHMARKS[format_name](files)
    if target is None:
        if isinstance(data, bytes):
            raise UsageError(f"{format_name} is binary; name a file with -o")
        return data
    write_whole(target, data, [file.path for file in files])
    return None


def format_of(path: Path) -> str:
    """Return the format that the ending of a file name stands for. UsageError if it stands for none or several."""
    known = {".csv": "csv", ".parquet": "parquet", ".txt": "go"}
    if path.suffix not in known:
        raise UsageError(f"{path.name}: its ending names no format; choose from {', '.join(FORMATS)}")
    return known[path.suffix]


def _csv(files: Sequence[Results], kind: str, columns: Columns) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


def _parquet(files: Sequence[Results], kind: str, columns: Columns) -> bytes:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UnsupportedError("Parquet needs pyarrow: pip install pyarrow") from None
    made = pyarrow.table(columns)
    headers = msgspec.json.encode({text_of(file.path): file.header for file in files})
    made = made.replace_schema_metadata({"pybench.table": kind, "pybench.headers": headers})
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(made, buffer)
    return buffer.getvalue()


class _Benchmark(msgspec.Struct, frozen=True):
    """A cell with valid trials, as the benchmark formats need it."""

    file: Results
    index: int
    cell: Cell
    settings: dict[str, Any]
    """The settings that vary among the cells of all files, by name."""
    trials: list[Trial]

    @property
    def seconds(self) -> list[float]:
        """Return the time of one operation in each trial, in s."""
        return [1 / t.figures.throughput for t in self.trials if t.figures]

    def name(self, between: str, first: str) -> str:
        """Return the workload and the settings that vary."""
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


def _pytest_benchmark(files: Sequence[Results]) -> str:
    try:
        from pytest_benchmark import __version__
        from pytest_benchmark import stats as statistics
    except ImportError:
        raise UnsupportedError("this format needs pytest-benchmark: pip install pytest-benchmark") from None
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


def _pyperf(files: Sequence[Results]) -> str:
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
    """Return when a trial ran; a simulated trial has no date of its own, so its file's stands in."""
    made = datetime.datetime.fromisoformat(file.header.created).timestamp()
    return str(datetime.datetime.fromtimestamp(trial.started or made).isoformat(" ", "microseconds"))


# Unit of the go format -> metric; ns/op is 1 / throughput.
_GO_METRICS = {
    one: METRICS[name]
    for one, name in (("ops/s", "throughput"), ("p50-ns", "p50"), ("p99-ns", "p99"), ("jain", "jain"))
}
_GO_UNITS = [
    f"Unit {unit} better={'higher' if higher else 'lower'} assume=nothing"
    for unit, higher in {
        "ns/op": False,
        **{unit: one.higher_is_better for unit, one in _GO_METRICS.items()},
    }.items()
]


def _go(files: Sequence[Results]) -> str:
    """Return the format of golang.org/design/14313-benchmark-format, with the unit lines that benchstat reads."""
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
            lines += _GO_UNITS
        # Readers of the format take `-N` at the end as the number of CPUs; without it they would take a place 0-7.
        words = [f"{n}={_go_word(value)}" for n, value in one.settings.items() if n != "threads"]
        name = "/".join([f"Benchmark{one.cell.workload.title()}", *words]) + f"-{one.cell.threads}"
        for trial in one.trials:
            values = {unit: metric.value(trial) for unit, metric in _GO_METRICS.items()}
            numbers = "".join(f"\t{value:.6g} {unit}" for unit, value in values.items())
            lines.append(
                f"{name}\t{max(_operations(trial), 1)}\t{1e9 / (values['ops/s'] or 1):.6g} ns/op{numbers}"
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


TABULAR: Mapping[str, Callable[[Sequence[Results], str, Columns], str | bytes]] = {
    "csv": _csv,
    "parquet": _parquet,
}
BENCHMARKS: Mapping[str, Callable[[Sequence[Results]], str]] = {
    "pytest-benchmark": _pytest_benchmark,
    "pyperf": _pyperf,
    "go": _go,
}
FORMATS = (*TABULAR, *BENCHMARKS)
