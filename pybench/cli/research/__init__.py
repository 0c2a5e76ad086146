# SPDX-License-Identifier: Apache-2.0
"""Check published findings, and advise."""
