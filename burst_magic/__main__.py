"""``python -m burst_magic`` is ``burst``."""

import sys

from burst_magic.cli import main

sys.exit(main())
