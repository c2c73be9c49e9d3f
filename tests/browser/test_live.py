"""A ``%%burst`` cell in JupyterLab while its kernel lives."""

from __future__ import annotations

LOAD = "%load_ext burst_magic"
SLOW = "import time\n\n\ndef settle(x):\n    time.sleep(0.2)\n    return x * x\n"
BURST = "%%burst --workers 2 --map range(40) --out points --name settle --launcher local\nsettle(item)"


def test_a_cell_shows_its_progress_while_it_runs_and_its_end(front_end, expect):
    front_end.open("live.ipynb", [LOAD, SLOW, BURST]).run()
    view = front_end.page.locator(".burst")

    expect(view).to_contain_text("running")
    expect(view).to_contain_text("finished")
