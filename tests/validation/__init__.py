# SPDX-License-Identifier: Apache-2.0
"""Validations: studies too long for the test suite that hold pybench against something independent of it.

Each is a module in one of the folders here, named after the validation, with a constant VALIDATION. Run them with
`scripts/validate`; docs/guides/validation.md describes what they show.
"""
