# SPDX-License-Identifier: Apache-2.0
"""The program, also as `python -m pybench`; Ctrl-C ends it with one line, even during imports."""

import sys


def main() -> None:
    """Run the command line."""
    try:
        from pybench.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("pybench: interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
