"""What all tests share."""

import os

import hypothesis
import pytest

pytest_plugins = ["lab.pytest_lab"]

# Nothing here depends on how busy the machine is, so no example is too slow.
hypothesis.settings.register_profile("pybench", deadline=None)
hypothesis.settings.load_profile("pybench")


@pytest.fixture(scope="session")
def cpus() -> tuple[int, ...]:
    """The CPUs that this process may use, ascending."""
    return tuple(sorted(os.sched_getaffinity(0)))


@pytest.fixture(scope="session")
def two_cpus(cpus: tuple[int, ...]) -> tuple[int, int]:
    """CPUs for two members: the same one twice if there is no other."""
    return cpus[0], cpus[-1]
