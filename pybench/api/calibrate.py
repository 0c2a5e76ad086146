# SPDX-License-Identifier: Apache-2.0
"""The calibration of this host from Python: what a simulation of it needs, measured into a machine file."""

import platform
from collections.abc import Callable
from pathlib import Path

import msgspec

from pybench.errors import MeasurementError, UsageError
from pybench.host.topology import read_topology
from pybench.outputs import check_output, write_whole
from pybench.simulator.calibration.calibrate import Calibration, measure_host
from pybench.simulator.machine_file import read_machine, to_toml


def calibrate(
    output: str | Path | None = None, *, force: bool = False, tell: Callable[[str], None] = lambda _: None
) -> tuple[Path, Calibration]:
    """Measure this host for the simulator, and write a machine file: `output`, or HOST.toml.

    `tell` is called with what is being measured. Returns the path, and the calibration as the file has it. Raises
    UsageError if the file exists (without `force`) or cannot be written, MeasurementError on a busy host.
    """
    path = Path(output) if output else Path(f"{platform.node() or 'this-host'}.toml")
    if path.suffix != ".toml":
        raise UsageError(f"{path}: a machine file ends in .toml")
    if path.exists() and not force:
        raise UsageError(f"{path} exists; name another -o, or give --force")
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent} is not a folder; make it, or name another -o")
    check_output(path)
    done = measure_host(read_topology(), tell)
    write_whole(path, to_toml(done.machine))
    # Simulations read the file, so it must read well.
    try:
        machine = read_machine(path)
    except UsageError as error:
        path.unlink()
        raise MeasurementError(
            f"the measurements make no machine: {error}; measure again on an idle host"
        ) from None
    return path, msgspec.structs.replace(done, machine=machine)
