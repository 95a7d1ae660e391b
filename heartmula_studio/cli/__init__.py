"""The Studio from a shell: one command, one function; errors become a message and an exit code."""

import sys
from collections.abc import Sequence
from io import TextIOWrapper

from heartmula_studio.cli.arguments import parse_arguments
from heartmula_studio.errors import CancelledError, StorageError, StudioError
from heartmula_studio.files.loading import loading


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 130 stopped, others as in `heartmula_studio.errors`."""
    parsed = parse_arguments(arguments)
    for stream in (sys.stdout, sys.stderr):
        # A song's name may hold bytes that are no text.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # Imported late: `--help` and wrong arguments answer without waiting for torch.
    with loading():
        from heartmula_studio.cli.commands import COMMANDS

    try:
        return COMMANDS[parsed.command](parsed)
    except StudioError as error:
        print(f"Error: {error.message}\n{error.hint}".rstrip(), file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"Error: {error.filename or 'a file'} cannot be read or written: {error.strerror}.", file=sys.stderr)
        return StorageError.exit_code
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return CancelledError.exit_code
