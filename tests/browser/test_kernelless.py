"""A running job whose kernel is busy, dead or not there: the lab extension follows it through the Jupyter server."""

from __future__ import annotations

import os
import signal

import pytest

LOAD = "%load_ext burst_magic"
LONG = (
    "%%burst --workers 2 --map range(600) --out many --name long --launcher local\nimport time\ntime.sleep(0.3)\nitem"
)
BAR = ".burst-view [role=progressbar]"
BUSY = "import time\ntime.sleep(300)"


@pytest.fixture
def view(front_end):
    return front_end.page.locator(".burst-view")


def advances(front_end) -> None:
    """Waits until more is done than now."""
    front_end.wait(
        f"before => Number(document.querySelector('{BAR}').getAttribute('aria-valuenow')) > before",
        int(front_end.page.locator(BAR).get_attribute("aria-valuenow")),
    )


def cancel(view, expect) -> None:
    view.get_by_role("button", name="Cancel", exact=True).click()
    view.get_by_role("button", name="Stop all tasks?").click()
    expect(view).to_contain_text("Cancelled")


def test_a_job_lives_on_in_the_page_when_its_kernel_is_shut_down_and_can_be_cancelled(front_end, view, expect):
    front_end.open("dead.ipynb", [LOAD, LONG]).run()
    expect(view).to_contain_text("Running")
    front_end.shut_down()
    expect(front_end.page.locator(".jp-NotebookPanel-toolbar")).to_contain_text("No Kernel")

    advances(front_end)
    cancel(view, expect)


def test_a_job_survives_a_reload_before_the_first_save_and_the_death_of_its_kernel(front_end, lab, view, expect):
    front_end.open("unsaved.ipynb", [LOAD, LONG, "import os\nopen('pid', 'w').write(str(os.getpid()))"]).run()
    expect(view).to_contain_text("Running")
    front_end.reload()
    front_end.page.get_by_role("button", name="Show it here").click()
    expect(view).to_contain_text("Running")
    os.kill(int((lab.work / "pid").read_text()), signal.SIGKILL)
    front_end.page.get_by_role("dialog", name="Kernel Restarting").get_by_role("button").last.click()

    advances(front_end)
    cancel(view, expect)


def test_a_job_in_a_store_that_the_server_does_not_show_is_shown_by_its_kernel(front_end, view, expect, tmp_path):
    store = f"--launcher local --store {tmp_path.as_uri()}"
    brief = f"%%burst --workers 1 --map range(2) --out few --name brief {store}\nimport time\ntime.sleep(2)"
    front_end.open("elsewhere.ipynb", [LOAD, brief, LONG.replace("--launcher local", store)]).run()
    expect(front_end.page.locator(".burst-view[data-link=kernel]").last).to_contain_text("long")
    expect(view.first).to_contain_text("Finished")
    expect(view).to_have_count(2)
    front_end.restart()

    expect(view.last).to_contain_text("To follow it, run %burst_attach")
    view.last.get_by_role("button", name="Cancel", exact=True).click(force=True)
    expect(view.last).to_contain_text("the kernel that showed this has ended")
    front_end.save()
    front_end.reload()
    expect(view.last).to_contain_text("is in another store than the one this server shows")


def test_a_page_that_is_reloaded_beside_a_busy_kernel_shows_the_job_at_once(front_end, view, expect):
    front_end.open("busy.ipynb", [LOAD, LONG, BUSY]).run()
    expect(view).to_contain_text("Running")
    front_end.save()
    front_end.reload(ready=False)

    expect(view).to_contain_text("Running")
    advances(front_end)
    cancel(view, expect)
    front_end.restart()


def test_what_is_saved_is_the_newest_state(front_end, view, expect):
    front_end.open("saved.ipynb", [LOAD, LONG]).run()
    expect(view).to_contain_text("Running")
    front_end.wait(f"() => Number(document.querySelector('{BAR}').getAttribute('aria-valuenow')) > 60")
    front_end.save()
    (output,) = [each for each in front_end.saved("saved.ipynb").cells[1].outputs if "data" in each]

    done = output.data["application/vnd.burst+json"]["counts"]["completed"]
    assert done > 0
    assert f"{done} of 600" in output.data["text/plain"]
    assert f"<b>{done}</b>" in output.data["text/html"]
    cancel(view, expect)
