# SPDX-License-Identifier: Apache-2.0
"""Simulate other machines"""
