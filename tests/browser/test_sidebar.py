"""The list of sessions beside the notebooks: what it shows, what can be done from it, and what is said when one ends.

All tests share one page with one notebook; each has sessions of its own, whose names it looks for.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from burst_magic.launchers.ecs_task import TAG
from burst_magic.testing.sandbox import Sandbox, TaskState
from tests.aws.conftest import Account
from tests.browser.conftest import PATIENCE, READY, ROOT, SIZE, FrontEnd

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


ELSEWHERE = "20261121-091500-abcd2345"  # a session of another store, with a worker in the account
LOOKS_AWAY = """() => {
    window.told = [];
    const Real = window.Notification;
    window.Notification = class extends Real {
        constructor(title, options) {
            super(title, options);
            window.told.push({ words: `${title}: ${options.body}`, click: () => this.onclick() });
        }
    };
    Object.defineProperty(document, "hidden", { configurable: true, get: () => true });
}"""
RED = "rgb(165, 58, 6)"
LIST = re.compile(r"/burst/api/sessions(\?|$)")
FRAME = re.compile(r"/burst/api/sessions/[^/]+/[^/]+/frame")
KEPT = """() => fetch("/lab/api/workspaces").then((reply) => reply.json()).then(({ workspaces: { values: [{ data }] } }) => {
    const tabs = Object.keys(data).filter((key) => key.startsWith("burst-magic:burst-"));
    const layout = JSON.stringify(data["layout-restorer:data"]?.main ?? null);
    return [tabs.length, new Set(layout.match(/burst-magic:burst-[^"]+/g)).size]; })"""
LOOKS_BACK = "() => { delete document.hidden; document.dispatchEvent(new Event('visibilitychange')); }"


@pytest.fixture(scope="module")
def lab(serve, tmp_path_factory):
    """A JupyterLab of somebody with an AWS account, in which a session of another store has a worker."""
    with Sandbox(home=tmp_path_factory.mktemp("cloud"), stop_timeout=1) as cloud, serve(**cloud.server.environ) as lab:
        tags = [{"key": f"{TAG}{name}", "value": text} for name, text in {"session": ELSEWHERE, "owner": "ada"}.items()]
        task = Account(cloud=cloud).start("import time; time.sleep(600)", tags=tags)
        cloud.wait_for(task, TaskState.RUNNING, within=PATIENCE)
        settings = lab.home / "burst_config_dir" / "config.toml"
        settings.parent.mkdir(exist_ok=True)
        settings.write_text(
            "".join(["[aws]\n", *(f"{name} = {json.dumps(text)}\n" for name, text in cloud.aws.items())])
        )
        yield lab


@pytest.fixture(scope="module")
def lab_page(lab, chromium):
    """JupyterLab with a notebook whose job waits for a gate, and the list of sessions beside it."""
    context = chromium.new_context(viewport=SIZE)
    context.set_default_timeout(PATIENCE * 1000)
    context.grant_permissions(["notifications"])
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
def wait_kept(lab_page):
    """Waits until JupyterLab has written down that so many tabs are open, and where: a page that goes earlier forgets them."""

    def wait(count: int) -> None:
        end = time.monotonic() + PATIENCE
        while [count, count] != (kept := lab_page.page.evaluate(KEPT)):
            assert time.monotonic() < end, kept
            lab_page.page.wait_for_timeout(50)

    return wait


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


def test_what_runs_in_the_account_is_listed_below_with_what_stops_it(list_of, expect):
    account = list_of.get_by_role("heading", name="Also runs in the account, us-east-1").locator("..")
    expect(account).to_contain_text(ELSEWHERE)
    expect(account).to_contain_text(re.compile(r"1 worker · fargate · \$0\.\d+ · .* old · started by ada"))
    expect(account.get_by_role("button", name="Copy: the line")).to_be_visible()
    expect(account).to_contain_text(f"%burst_cleanup {ELSEWHERE}")


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


def test_a_tab_says_why_it_cannot_be_shown_and_comes_back_once_the_server_shows_its_store_again(
    lab_page, row, wait_kept, expect
):
    """The server's follower of the job lives for a minute: as a server that was started meanwhile, it refuses the job."""
    page, lab = lab_page.page, lab_page.lab
    wait_kept(0)  # tabs that were closed before
    row("settle").get_by_role("button", name="settle", exact=True).click()
    wait_kept(1)
    settings = lab.home / "burst_config_dir" / "config.toml"
    before = settings.read_text()
    lab.burst("config", f"store={(lab.home / 'other').as_uri()}")
    page.route(FRAME, lambda route: route.fulfill(status=404, json={"problem": "it is in another store"}))
    tab = page.locator(".burst-tab")
    try:
        lab_page.reload(ready=False)
        expect(tab.locator(".bs-trouble")).to_have_text("it is in another store")
        expect(tab.locator(".burst-view")).to_have_count(0)
        wait_kept(1)
    finally:
        settings.write_text(before)
        page.unroute(FRAME)
    tab.get_by_role("button", name="Try again").click()
    expect(tab.locator(".burst-view")).to_contain_text("0 done")
    expect(tab.locator(".bs-trouble")).to_have_count(0)
    page.locator(".lm-DockPanel-tabBar .lm-TabBar-tab", has_text="settle").locator(".lm-TabBar-tabCloseIcon").click()
    expect(tab).to_have_count(0)
    lab_page.wait(READY)


def test_a_tab_comes_back_after_a_reload_and_that_of_a_deleted_session_is_forgotten(
    lab_page, row, from_python, wait_kept, expect
):
    page, tabs = lab_page.page, lab_page.page.locator(".burst-tab")
    sid = from_python("brief")
    for title in ("brief", "settle"):
        row(title).get_by_role("button", name=title, exact=True).click()
    expect(tabs).to_have_count(2)
    lab_page.lab.burst("cleanup", sid, "--force", "--yes")
    wait_kept(2)
    lab_page.reload(ready=False)
    expect(tabs.locator("[aria-label='burst settle']")).to_contain_text("0 done")
    expect(tabs).to_have_count(1)
    wait_kept(1)
    page.evaluate("() => window.jupyterapp.shell.currentWidget.close()")
    lab_page.wait(READY)


def test_more_than_the_budget_is_red_and_in_words(lab_page, row, expect):
    """What the server says, but with money: nothing costs any here."""
    page = lab_page.page

    def dear(route):
        answer = route.fetch(headers={**route.request.headers, "if-none-match": ""})
        listed = answer.json()
        for each in listed["sessions"]:
            each["money"] |= {"free": False, "spent": 6_000_000, "budget": 5_000_000}
        route.fulfill(status=200, json=listed)

    page.route(LIST, dear)
    label = page.locator(".burst-status-label")
    expect(label).to_have_text("1 burst · $6.00 · over budget")
    expect(row("settle")).to_contain_text("$6.00 / $5.00 · over budget")
    expect(label).to_have_css("background-color", RED)
    page.unroute(LIST)
    expect(label).to_have_text("1 burst")
    expect(label).not_to_have_css("background-color", RED)


def test_the_end_of_a_session_is_told_without_a_kernel_and_attach_brings_its_results_back(lab_page, row, expect):
    """To who looks elsewhere by the browser, too."""
    page = lab_page.page
    lab_page.restart()
    expect(page.locator(".burst-status-label")).to_have_text("1 burst")

    def finished(route):  # the page is hidden before the answer that says so
        lab_page.lab.work.joinpath("gate").touch()
        answer = route.fetch(headers={**route.request.headers, "if-none-match": ""})
        if "running" not in {each["session"]["state"] for each in answer.json()["sessions"]}:
            page.evaluate(LOOKS_AWAY)
        route.fulfill(response=answer)

    page.route(LIST, finished)
    lab_page.wait("() => window.told?.length")
    page.unroute(LIST)
    assert page.evaluate("() => window.told.map(({ words }) => words)") == ["burst: settle finished: 8 of 8"]
    toast = page.locator(".Toastify__toast", has_text="settle finished: 8 of 8")
    expect(toast.get_by_role("button", name="Open")).to_be_visible()
    page.evaluate("() => window.told[0].click()")
    expect(page.locator(".burst-tab .burst-view")).to_contain_text("Finished")
    page.evaluate("() => window.jupyterapp.shell.currentWidget.close()")
    page.evaluate(LOOKS_BACK)
    expect(row("settle")).to_contain_text("Finished")
    expect(page.locator(".burst-status-label")).not_to_be_visible()
    row("settle").get_by_role("button", name="Attach").click()
    expect(page.locator(".jp-Notebook")).to_contain_text("points = <Results: 8 of 8>")
    expect(row("settle")).to_contain_text("runs in a new cell")
