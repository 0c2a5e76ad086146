# SPDX-License-Identifier: Apache-2.0
"""Mount trials leave the mount table and the host's directories as they were, for root and for other users."""

from pathlib import Path
from typing import Any

import pytest

from pybench.native import run_trial
from tests.native.crew_tools import members_in, outcome_as_user, request, run_or_skip

VARIANTS = [
    {},
    {"umount": "detach"},
    {"umount": "batch:5"},
    {"api": "open_tree"},
    {"api": "open_tree", "umount": "batch:3"},
    {"api": "open_tree", "idmap": "yes"},
    {"children": 3},
    {"peers": 3},
    {"table": 50},
    {"children": 2, "peers": 2, "table": 10, "umount": "batch:4"},
]


@pytest.mark.parametrize("crew", ["threads", "processes"])
@pytest.mark.parametrize("params", VARIANTS, ids=lambda params: " ".join(f"{k}={v}" for k, v in params.items()))
def test_mount_table_returns_to_what_it_was(params: dict[str, Any], crew: str, two_cpus: tuple[int, int]) -> None:
    outcome = run_or_skip(request("mount", two_cpus, crew=crew, **params))
    assert outcome.mounts_before == outcome.mounts_after > 0
    mount, umount = outcome.phases["mount"], outcome.phases["umount"]
    assert mount.operations == mount.calls == sum(members_in(outcome).operations)
    if "batch" not in str(params.get("umount")):
        assert umount.operations == umount.calls == mount.operations


def test_extra_mounts_are_in_the_table(cpus: tuple[int, ...]) -> None:
    def before(**params: int) -> int:
        return run_or_skip(request("mount", cpus[:1], 5, **params)).mounts_before

    plain = before()
    # One tmpfs holds them.
    assert before(table=40) == plain + 41
    assert before(children=7) == plain + 8
    assert before(peers=6) == plain + 7


@pytest.mark.parametrize(
    "params", VARIANTS[:5], ids=lambda params: " ".join(f"{k}={v}" for k, v in params.items())
)
def test_a_directory_of_the_host_stays_as_it_was(
    params: dict[str, Any], disk_path: Path, two_cpus: tuple[int, int]
) -> None:
    (disk_path / "file").write_text("kept")
    (disk_path / "sub").mkdir()
    before = disk_path.stat()
    run_or_skip(request("mount", two_cpus, fs=str(disk_path), **params))
    after = disk_path.stat()
    assert sorted(path.name for path in disk_path.iterdir()) == ["file", "sub"]
    for field in ("st_dev", "st_ino", "st_mode", "st_uid", "st_nlink", "st_mtime_ns", "st_ctime_ns"):
        assert getattr(after, field) == getattr(before, field)
    assert (disk_path / "file").read_text() == "kept"


def test_a_directory_that_is_not_there_fails_the_trial(tmp_path: Path, cpus: tuple[int, ...]) -> None:
    outcome = run_trial(request("mount", cpus[:1], fs=str(tmp_path / "none")))
    if outcome.status == "unsupported":
        pytest.skip(outcome.reason)
    assert outcome.status == "failed"
    assert "No such file" in outcome.reason
    assert str(tmp_path) in outcome.reason


@pytest.mark.parametrize("crew", ["threads", "processes"])
@pytest.mark.parametrize(
    "params", [{}, {"umount": "batch:5"}, {"api": "open_tree", "idmap": "yes"}, {"fs": "/usr"}, {"peers": 2}]
)
def test_an_ordinary_user_has_a_namespace_of_their_own(
    params: dict[str, Any], crew: str, two_cpus: tuple[int, int]
) -> None:
    outcome = outcome_as_user(request("mount", two_cpus, crew=crew, **params))
    if outcome.status == "unsupported":
        pytest.skip(f"this host gives ordinary users no namespaces: {outcome.reason}")
    assert outcome.status == "ok", outcome.reason
    assert outcome.user_namespace
    assert outcome.mounts_before == outcome.mounts_after > 0


def test_an_ordinary_user_walks_paths(two_cpus: tuple[int, int]) -> None:
    outcome = outcome_as_user(request("stat", two_cpus))
    if outcome.status == "unsupported":
        pytest.skip(outcome.reason)
    assert outcome.status == "ok", outcome.reason
