"""`python -m heartmula_studio`: the Studio from a shell."""

import sys

from heartmula_studio.cli import main

sys.exit(main())
