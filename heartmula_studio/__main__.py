"""The command `heartmula-studio`, also `python -m heartmula_studio`: `serve` is the server, the rest the shell."""

import sys
from collections.abc import Sequence

from heartmula_studio import cli


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code, as in `heartmula_studio.errors`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["serve"]:
        from heartmula_studio import server

        return server.main(given[1:])
    return cli.main(given)


if __name__ == "__main__":
    sys.exit(main())
