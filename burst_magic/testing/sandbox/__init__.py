"""A stand-in for AWS on 127.0.0.1: moto in this process, with an ECS whose tasks are real processes.

    with Sandbox(home=folder) as cloud:
        os.environ.update(cloud.environ())

Needs the extra: ``pip install 'burst_magic[sandbox]'``. docs/sandbox.md says what is real and what is not.
"""

from __future__ import annotations

from burst_magic.testing.sandbox.lives import EcsStopCode, SandboxTask, TaskState
from burst_magic.testing.sandbox.sandbox import Sandbox

__all__ = ["EcsStopCode", "Sandbox", "SandboxTask", "TaskState"]
