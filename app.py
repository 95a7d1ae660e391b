"""Starts the studio where no package is installed: in a checkout, and on a Hugging Face Space."""

import sys

from heartmula_studio.server import main

if __name__ == "__main__":
    sys.exit(main())
