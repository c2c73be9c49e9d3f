"""A ``%%burst`` cell in JupyterLab while its kernel lives, in the widget: without the server's part."""

from __future__ import annotations

import pytest

LOAD = "%load_ext burst_magic"
SLOW = "import time\n\n\ndef settle(x):\n    time.sleep(0.2)\n    return x * x"
BURST = "%%burst --workers 2 --map range(40) --out points --name settle --launcher local\nsettle(item)"
FAILING = (
    "%%burst --workers 2 --map range(20) --out odd --launcher local\n"
    "print('trying', item)\n"
    "if item == 3:\n    import matplotlib.pyplot as plt\n    plt.plot([1, 2])\n    plt.show()\n"
    "if item % 7 == 3: raise ValueError(f'no fixed point for {item}')\n"
    "import time; time.sleep(30 if item == 19 else 0)"  # until the reader has looked
)
LONG = "%%burst --workers 2 --map range(200) --out many --launcher local\nimport time\ntime.sleep(0.3)"


@pytest.fixture(scope="module")
def lab(serve):
    """A JupyterLab without the lab extension."""
    with serve(extension=False) as lab:
        yield lab


@pytest.fixture
def view(front_end):
    return front_end.page.locator(".burst-view")


def test_a_cell_shows_its_progress_while_it_runs_and_one_line_at_its_end(front_end, view, expect):
    front_end.open("live.ipynb", [LOAD, SLOW, BURST]).run()

    expect(view).to_contain_text("Running")
    expect(view.get_by_role("progressbar")).to_be_visible()
    expect(front_end.page.locator(".jp-Notebook .burst")).to_contain_text("finished")  # HTML, which outlives the kernel


def test_a_page_that_is_reloaded_shows_the_running_job_and_its_cancel_works(front_end, view, expect):
    front_end.open("reload.ipynb", [LOAD, LONG]).run()
    expect(view).to_contain_text("Running")
    front_end.save()
    front_end.reload()

    expect(view).to_contain_text("Running")
    view.get_by_role("button", name="Cancel", exact=True).click()
    view.get_by_role("button", name="Stop all tasks?").click()
    expect(view).to_contain_text("finished results are kept")
    expect(front_end.page.locator(".jp-Notebook")).to_contain_text("cancelled", ignore_case=True)


def test_a_failure_leads_to_its_traceback_on_the_cells_line(front_end, view, expect):
    front_end.open("failing.ipynb", [LOAD, FAILING]).run()
    expect(view).to_contain_text("3 failed")
    view.get_by_role("button", name="Show the tasks").click()

    traceback = view.get_by_label("Traceback of task 3")
    expect(traceback).to_contain_text("ValueError: no fixed point for 3")
    expect(view.get_by_label("Output of task 3")).to_contain_text("trying 3")
    expect(view.get_by_alt_text("Displayed by task 3: <Figure")).to_be_visible()

    front_end.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    view.get_by_role("button", name="Copy lines to run it here").click()
    expect(view.get_by_role("button", name="Copy lines to run it here")).to_have_text("Copied")
    front_end.add(front_end.page.evaluate("() => navigator.clipboard.readText()"))
    expect(front_end.page.locator(".jp-CodeCell").last.locator(".jp-OutputArea-executeResult")).to_contain_text("3")
