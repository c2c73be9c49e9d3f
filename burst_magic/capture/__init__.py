"""Turn a cell into a payload: its names, their dependencies, local sources. Refuses whatever cannot be sent."""

from burst_magic.capture.cell import Capture, capture_call, capture_cell
from burst_magic.capture.closure import Captured

__all__ = ["Capture", "Captured", "capture_call", "capture_cell"]
