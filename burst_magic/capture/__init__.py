"""A cell becomes a payload: names, what they drag in, local sources, and every refusal before a run."""

from burst_magic.capture.cell import Capture, capture_call, capture_cell
from burst_magic.capture.closure import Captured

__all__ = ["Capture", "Captured", "capture_call", "capture_cell"]
