"""`accelerate launch -m heartmula_studio.finetune JOB_FOLDER`, or the same with `torchrun` or plain `python`.

Exit codes: 0 complete, 130 stopped and saved, others as in `heartmula_studio.errors`. Launchers replace a worker's
code by their own; the last line of metrics.jsonl says the same: `done`, `stopped` or `failed`.
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from accelerate import PartialState

from heartmula_studio.errors import CancelledError, StudioError
from heartmula_studio.files.loading import loading
from heartmula_studio.finetune.launch import processes_left_to_start, run_processes


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m heartmula_studio.finetune", description=__doc__)
    parser.add_argument("job_dir", type=Path, metavar="JOB_FOLDER", help="folder with config.json and dataset/")
    job_dir = parser.parse_args(arguments).job_dir
    try:
        if processes := processes_left_to_start():
            return run_processes(processes, job_dir)
        # Loaded only here: a process that starts the others needs none of it, and it takes seconds.
        with loading():
            from heartmula_studio.finetune.job import train
            from heartmula_studio.generate.previews import SongListener
        result = train(job_dir, listener=SongListener())
    except StudioError as error:
        if PartialState().is_main_process:
            with suppress(OSError):  # it may go to a file on a full disk; the exit code still tells
                print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    finally:
        PartialState().destroy_process_group()
    return 0 if result.status == "completed" else CancelledError.exit_code


if __name__ == "__main__":
    sys.exit(main())
