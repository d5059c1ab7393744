"""`python -P -m agent`: the same as the command `tuneward`."""

import sys

from agent.cli import main

sys.exit(main())
