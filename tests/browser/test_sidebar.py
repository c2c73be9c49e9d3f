"""The list of sessions beside the notebooks: what it shows, what can be done from it, and what is said when one ends.

All tests share one page with one notebook; each has sessions of its own, whose names it looks for.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.browser.conftest import PATIENCE, ROOT, SIZE, FrontEnd

AXE = ROOT / "labextension" / "node_modules" / "axe-core" / "axe.min.js"
WAITING = (
    "%%burst --workers 1 --map range(8) --out points --name settle --launcher local\n"
    "import time\nwhile not os.path.exists(gate): time.sleep(0.02)\nitem * 2"
)
FROM_PYTHON = """
import burst_magic as burst, time
session = burst.map(time.sleep, [600] * 4, workers=1, name={name!r})
print(session.id)
session.detach()
"""
VIOLATIONS = """() => axe.run(document.querySelector(".burst-sessions")).then(({ violations }) => violations.map(
    ({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.html.slice(0, 120)} ${node.failureSummary}`).join(" | ")}`))"""
THEME = "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme }).then(() => true)"
DARK = "dark => (document.body.dataset.jpThemeLight === 'false') === dark"


@pytest.fixture(scope="module")
def lab_page(lab, chromium):
    """JupyterLab with a notebook whose job waits for a gate, and the list of sessions beside it."""
    context = chromium.new_context(viewport=SIZE)
    context.set_default_timeout(PATIENCE * 1000)
    page = context.new_page()
    thrown = []
    page.on("pageerror", lambda error: thrown.append(f"{error.message}\n{error.stack}"))
    gate = lab.work / "gate"
    front_end = FrontEnd(lab, page)
    front_end.open("bench.ipynb", ["%load_ext burst_magic", 'import os\ngate = os.path.abspath("gate")', WAITING]).run()
    page.wait_for_selector(".burst-view [role=progressbar]", timeout=PATIENCE * 1000)
    front_end.command("burst-magic:open-list")
    yield front_end
    gate.touch()
    context.close()
    assert [error for error in thrown if "burst" in error] == []


@pytest.fixture
def list_of(lab_page):
    return lab_page.page.locator(".burst-sessions")


@pytest.fixture
def row(list_of):
    """The row of the session with this in its title."""
    return lambda title: list_of.locator("li.bs-row", has_text=title)


@pytest.fixture
def from_python(lab_page):
    """Starts a session that runs until it is stopped, without a notebook."""
    return lambda name: lab_page.lab.python(FROM_PYTHON.format(name=name)).strip()


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_a_running_session_is_listed_and_axe_finds_nothing(lab_page, list_of, row, expect, theme):
    page = lab_page.page
    settle = row("settle")
    expect(settle).to_contain_text(re.compile("Running|starting"))
    expect(settle).to_contain_text("bench.ipynb")
    expect(settle.get_by_role("progressbar")).to_have_attribute("aria-valuemax", "8")
    expect(page.locator(".burst-status-label")).to_have_text("1 burst")
    page.evaluate(THEME, theme)
    lab_page.wait(DARK, theme.endswith("Dark"))
    page.add_script_tag(path=AXE)
    if theme.endswith("Light"):
        ROOT.joinpath("build").mkdir(exist_ok=True)
        page.screenshot(path=Path(ROOT, "build", "sidebar.png"))

    assert page.evaluate(VIOLATIONS) == []
    assert (
        page.evaluate(
            "() => { const { scrollWidth, clientWidth } = document.querySelector('.burst-sidebar'); return scrollWidth - clientWidth; }"
        )
        <= 0
    )


def test_a_click_opens_the_very_view_in_a_tab_and_a_second_one_the_same_tab(lab_page, row, expect):
    opener = row("settle").get_by_role("button", name="settle", exact=True)
    opener.focus()
    lab_page.page.keyboard.press("Enter")
    tab = lab_page.page.locator(".burst-tab .burst-view")
    expect(tab).to_contain_text("0 done")
    expect(tab.get_by_role("button", name="Cancel", exact=True)).to_be_visible()
    opener.click()
    expect(lab_page.page.locator(".burst-tab")).to_have_count(1)
    lab_page.page.evaluate("() => window.jupyterapp.shell.currentWidget.close()")


def test_what_is_stopped_and_cleaned_up_asks_first_and_says_what_became_of_it(lab_page, row, from_python, expect):
    sid = from_python("doomed")
    doomed = row("doomed")
    doomed.get_by_role("button", name="Clean up").click(force=True)  # it is off, and says why
    expect(doomed).to_contain_text("stop it first")
    doomed.get_by_role("button", name="Stop", exact=True).click()
    doomed.get_by_role("button", name="Stop all its tasks?").click()
    expect(doomed).to_contain_text("Cancelling the session")
    expect(doomed).to_contain_text("Cancelled")
    doomed.get_by_role("button", name="Attach").click()
    expect(doomed).to_contain_text(f"no notebook started it — in a cell of any notebook, type %burst_attach {sid}")
    expect(doomed.get_by_role("button", name="Stop", exact=True)).to_have_attribute("aria-disabled", "true")
    doomed.get_by_role("button", name="Clean up").click()
    doomed.get_by_role("button", name="Delete it with its results?").click()
    expect(doomed).to_have_count(0)
    expect(row("settle")).to_have_count(1)


def test_the_end_of_a_session_is_told_without_a_kernel_and_attach_brings_its_results_back(lab_page, row, expect):
    page = lab_page.page
    lab_page.restart()
    expect(page.locator(".burst-status-label")).to_have_text("1 burst")
    lab_page.lab.work.joinpath("gate").touch()
    toast = page.locator(".Toastify__toast", has_text="settle finished: 8 of 8")
    expect(toast.get_by_role("button", name="Open")).to_be_visible()
    expect(row("settle")).to_contain_text("Finished")
    expect(page.locator(".burst-status-label")).not_to_be_visible()
    row("settle").get_by_role("button", name="Attach").click()
    expect(page.locator(".jp-Notebook")).to_contain_text("points = <Results: 8 of 8>")
    expect(row("settle")).to_contain_text("runs in a new cell")
