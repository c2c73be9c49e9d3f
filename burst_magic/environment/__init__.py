"""What workers have installed, from the kernel's side: the worker's own bundle, and the kernel's packages as a lock.

Everything here happens before anything is billed. The worker's side is ``worker/stage0.py`` and ``worker/install.py``.
"""

FOLDER = "environments"  # of the user's data directory: archives, locks and wheels, which can be made again
