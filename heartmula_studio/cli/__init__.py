"""The Studio from a shell: one command, one function; errors become a message and an exit code."""

import sys
from collections.abc import Sequence

from heartmula_studio.cli.arguments import parse_arguments
from heartmula_studio.errors import CancelledError, StudioError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 130 stopped, others as in `heartmula_studio.errors`."""
    parsed = parse_arguments(arguments)
    # Imported late: `--help` and wrong arguments answer without waiting for torch.
    from heartmula_studio.cli import commands

    try:
        return getattr(commands, parsed.command)(parsed) or 0
    except StudioError as error:
        print(f"Error: {error.message}\n{error.hint}".rstrip(), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return CancelledError.exit_code
