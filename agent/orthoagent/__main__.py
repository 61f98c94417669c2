"""``python -m orthoagent``."""

import sys

from orthoagent.cli import main

sys.exit(main())
