"""``python -m burst_magic`` is the ``burst`` command."""

import sys

from burst_magic.cli import main

sys.exit(main())
