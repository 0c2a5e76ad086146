# SPDX-License-Identifier: Apache-2.0
"""This host: its topology and facts, the lock that keeps its switches still, and traces of its kernel."""

from pybench.host.facts import read_facts
from pybench.host.switches.journal import undisturbed
from pybench.host.topology import Topology, read_topology
from pybench.host.tracing import stop, tracing

__all__ = ["Topology", "read_facts", "read_topology", "stop", "tracing", "undisturbed"]
