"""A notebook that is opened again: its jobs are live without their kernel, and one click brings their results back."""

from __future__ import annotations

import re

import nbformat
import pytest

LOAD = "%load_ext burst_magic"
WAITING = (
    "%%burst --workers 1 --map range(8) --out points --name settle --launcher local\n"
    "import os, time\nwhile not os.path.exists(gate): time.sleep(0.02)\nitem * 2"
)


@pytest.fixture
def view(front_end):
    return front_end.page.locator(".burst-view")


@pytest.fixture
def gate(lab, request):
    """A file that tasks wait for."""
    path = lab.work / f"gate-{request.node.name}"
    yield path
    path.touch()


@pytest.fixture
def left(front_end, view, expect, gate):
    """A notebook that was saved while its job ran, and whose kernel is gone."""

    def leave(name):
        front_end.open(name, [LOAD, f"gate = {str(gate)!r}", WAITING]).run()
        expect(view).to_contain_text("0 done")
        front_end.save()
        front_end.shut_down()
        return name

    return leave


def cancel(view, expect):
    view.get_by_role("button", name="Cancel", exact=True).click()
    view.get_by_role("button", name="Stop all tasks?").click()
    expect(view).to_contain_text("Cancelled")


def toast(front_end):
    return front_end.page.locator(".Toastify__toast")


def finish(front_end, view, gate, expect):
    gate.touch()
    expect(view).to_contain_text("Finished")


def test_what_finished_meanwhile_is_collected_by_one_click(front_end, view, left, gate, expect):
    name = left("away.ipynb")
    finish(front_end, view, gate, expect)  # as the page sees it without a kernel; the file does not
    view.get_by_role("button", name="More actions").click()
    view.get_by_role("button", name="Collect").click(force=True)
    expect(view).to_contain_text("this notebook has no kernel: start one, then collect")
    front_end.open(name)

    expect(toast(front_end)).to_contain_text("settle finished while you were away")
    toast(front_end).get_by_role("button", name="Collect into points").click()
    expect(front_end.page.locator(".jp-Notebook")).to_contain_text("points = <Results: 8 of 8>")


def test_ids_survive_cleared_outputs_and_a_copy_under_another_name(front_end, view, left, gate, expect):
    name = left("cleared.ipynb")
    finish(front_end, view, gate, expect)
    front_end.command("notebook:clear-all-cell-outputs")
    front_end.save()
    notebook = front_end.saved(name)
    assert not any(cell.outputs for cell in notebook.cells)
    (mark,) = notebook.metadata["burst_magic"]["sessions"]
    assert mark["out"] == "points"
    nbformat.write(notebook, front_end.lab.work / "copy.ipynb")
    front_end.open("copy.ipynb")

    toast(front_end).get_by_role("button", name="Collect into points").click()
    expect(front_end.page.locator(".jp-Notebook")).to_contain_text("points = <Results: 8 of 8>")


def test_the_kernel_that_started_a_job_is_offered_nothing(front_end, view, gate, expect):
    front_end.open("same.ipynb", [LOAD, f"gate = {str(gate)!r}", WAITING]).run()
    expect(view).to_contain_text("0 done")
    front_end.save()
    gate.touch()
    front_end.reload()
    expect(view).to_contain_text("Finished")
    expect(toast(front_end)).to_have_count(0)


def test_a_kernel_that_was_restarted_is_offered_what_it_started_before(front_end, view, gate, expect):
    """It keeps its id, and nothing else."""
    front_end.open("anew.ipynb", [LOAD, f"gate = {str(gate)!r}", WAITING]).run()
    expect(view).to_contain_text("0 done")
    front_end.save()
    front_end.restart()
    front_end.save()
    finish(front_end, view, gate, expect)
    front_end.open("anew.ipynb")

    toast(front_end).get_by_role("button", name="Collect into points").click()
    expect(front_end.page.locator(".jp-Notebook")).to_contain_text("points = <Results: 8 of 8>")


def test_an_untrusted_notebook_is_live_and_its_job_can_be_cancelled(front_end, view, lab, left, expect):
    name = left("untrusted.ipynb")
    notebook = front_end.saved(name)
    notebook.cells.append(nbformat.v4.new_code_cell("'not signed'"))
    nbformat.write(notebook, lab.work / name)  # as one that came by mail
    front_end.open(name)

    expect(view).to_contain_text("Running")
    cancel(view, expect)


def test_notebook_7_shows_a_job_whose_kernel_is_gone_and_can_cancel_it(front_end, view, lab, left, expect):
    name = left("seven.ipynb")
    front_end.page.goto(f"{lab.address}/notebooks/{name}?token={lab.token}")

    expect(view).to_contain_text("Running")
    cancel(view, expect)


def test_a_restarted_kernel_leaves_the_job_live_and_the_panel_collects_its_results(front_end, view, gate, expect):
    front_end.open("restarted.ipynb", [LOAD, f"gate = {str(gate)!r}", WAITING]).run()
    expect(view).to_contain_text("0 done")
    front_end.restart()
    view.get_by_role("button", name="More actions").click()
    view.get_by_role("button", name="Collect").click(force=True)
    expect(view).to_contain_text("it still runs; %burst_attach")
    finish(front_end, view, gate, expect)
    view.get_by_role("button", name="Collect").click()

    expect(view.first).to_contain_text(re.compile(r"%burst_attach [\w-]+/0 runs in a new cell of restarted.ipynb"))
    expect(front_end.page.locator(".jp-Notebook")).to_contain_text("points = <Results: 8 of 8>")
