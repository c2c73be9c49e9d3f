"""The view in each of its states, in JupyterLab's light and dark themes: what axe finds, what it says, what fits."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from burst_magic.protocol.snapshot import FailureGroup, Snapshot, Span, StartView, WaitCause, WaitReason, WorkerView
from burst_magic.protocol.wire.displays import Display
from burst_magic.protocol.wire.model import JobEnd, Outcome, OutcomeKind, SlotView
from burst_magic.protocol.wire.records import TaskSpan
from burst_magic.ui import details
from burst_magic.ui.details import ActionState, HostState, PanelAction
from burst_magic.ui.drawing import frame_of
from burst_magic.ui.frame import to_json
from burst_magic.ui.timeline import timeline_page

UI = Path(details.__file__).parent
AXE = UI.parents[1] / "labextension" / "node_modules" / "axe-core" / "axe.min.js"
THEMES = Path(sys.prefix) / "share" / "jupyter" / "lab" / "themes" / "@jupyterlab"
NOW = 1_800_000_000.0  # the page's clock stands still there
SID = "20261121-091500-abcd2345"
GROUP = FailureGroup(
    ident="g1",
    kind=OutcomeKind.ERROR,
    error="ValueError",
    line=2,
    message="no fixed point",
    count=5,
    messages=3,
    first=17,
)
LOST = dataclasses.replace(GROUP, ident="g2", kind=OutcomeKind.LOST, error="", line=None, message="", count=1, first=40)
RAN = [TaskSpan(task, NOW - 39 + task, 0.8, task == 17, "w1", 0) for task in range(30)]
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAAAAABX3VL4AAAADklEQVR4nGP4z8DA8B8ABgAB/3hctoEAAAAASUVORK5CYII="
SHOWN = (
    Display(data={"text/plain": "<Figure>", "image/png": PNG}),
    Display(data={"text/plain": "a table", "text/html": "<table><tr><th>a<td>1</table>"}),
    Display(data={"text/plain": "words", "text/markdown": "*words*"}),
)
# Each way out of a frame or an image that there might be; `parent.escaped` and a request would tell.
HOSTILE = (
    "</body></html><script>parent.escaped = 1</script><img src=x onerror='parent.escaped = 2'>"
    "<svg onload='parent.escaped = 3'></svg><iframe srcdoc='<script>top.escaped = 4</script>'></iframe>"
    "<meta http-equiv=refresh content='0;url=https://away.invalid/'><link rel=stylesheet href=https://style.invalid/>"
    "<img src=https://image.invalid/><form action=https://form.invalid/><input autofocus onfocus='parent.escaped = 5'>"
    "</form><p>the end</p><a href=https://plain.invalid/>plain</a><a href=https://self.invalid/ target=_self>self</a>"
    "<a href=https://top.invalid/ target=_top>top</a><a href=https://parent.invalid/ target=_parent>parent</a>"
    "<div><template shadowrootmode=open><a href=https://shadow.invalid/ target=_self>shadow</a></template></div>"
    "<svg width=50 height=20><a href=https://drawn.invalid/ target=_self><text y=15>drawn</text></a></svg>"
    "<form><math><mtext></form><form><mglyph><style></math><a href=https://late.invalid/ target=_self>late</a>"  # a link once parsed again
)
SVG = (
    "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><script>parent.escaped = 6</script>"
    "<image href='https://svg.invalid/'/><rect width='9' height='9'/></svg>"
)
FAILED = Outcome(
    task=17,
    kind=OutcomeKind.ERROR,
    error="ValueError",
    message="no fixed point",
    traceback='Traceback (most recent call last):\n  File "<cell 3>", line 2, in <module>\n    settle(item)\nValueError: no fixed point',
    output="trying <b>0.5</b>\n",
    item="3.57",
    wall=2.4,
    displays=SHOWN,
)


def partition(total: int, done: int, running: int = 0, failed: int = 0) -> tuple[Span, ...]:
    edges = (
        (done, "completed"),
        (failed, "failed"),
        (running, "running"),
        (total - done - failed - running, "pending"),
    )
    spans, at = [], 0
    for count, state in edges:
        spans += [Span(start=at, stop=at + count, state=state)] if count else []
        at += count
    return tuple(spans)


def worker(seconds: float) -> WorkerView:
    """A worker of half a dollar for 10 000 seconds."""
    slot = SlotView(job="0", task=153, since=NOW - 3, memory_mb=120.0)
    return WorkerView(wid="w1", started=NOW - seconds, seen=NOW, rate=180_000, slots=(slot,))


def job(total: int = 240, done: int = 148, *, running: int = 2, failed: int = 5, **changes) -> Snapshot:
    """A job on two workers that began 40 s ago."""
    facts = {
        "sid": SID,
        "jid": "0",
        "now": NOW,
        "created": NOW - 40,
        "total": total,
        "completed": done,
        "running": running,
        "failed": failed,
        "pending": total - done - running - failed,
        "spans": partition(total, done, running, failed),
        "name": "settle",
        "out": "points",
        "launcher": "fargate",
        "rate": 360_000,
        "spend": 120_000,
        "budget": 5_000_000,
        "wanted": 2,
        "started": 2,
        "deadline": NOW + 86_400,
        "forecast": NOW + 40,
        "failures": (GROUP,) if failed else (),
        "workers": (worker(2400),),
        "tail": ((152, "trying 0.5"), (153, "trying <b>0.7</b>")),
    }
    return Snapshot(**(facts | changes))


def over(end: JobEnd, **changes) -> Snapshot:
    return job(running=0, ended=end, finished_at=NOW, forecast=None, **changes)


STATES = {
    "empty": lambda: over(JobEnd.FINISHED, total=0, done=0, failed=0),
    "starting": lambda: job(
        done=0,
        running=0,
        failed=0,
        forecast=None,
        started=0,
        workers=(),
        coming=(StartView(token="t", phase="pulling the image", seconds=30.0),),
        wait=WaitReason(cause=WaitCause.STARTING, words="workers are starting"),
    ),
    "refused": lambda: job(
        done=0,
        running=0,
        failed=0,
        forecast=None,
        workers=(),
        wait=WaitReason(cause=WaitCause.REFUSED, words="no capacity for Fargate Spot"),
    ),
    "one task": lambda: job(1, 0, running=1, failed=0, forecast=None),
    "running": job,
    "lost workers": lambda: job(lost=1, attended=False),
    "store away": lambda: job(as_of=NOW - 130, trouble="SlowDown"),
    "unpriced": lambda: job(priced=False, rate=0, spend=0),
    "huge": lambda: job(1_000_000, 400_000, running=64, failed=1),
    "finished": lambda: over(JobEnd.FINISHED, done=240, failed=0),
    "some failed": lambda: over(JobEnd.FINISHED, done=234, failed=6, failures=(GROUP, LOST), kept_until=NOW + 290),
    "all failed": lambda: over(
        JobEnd.FINISHED, done=0, failed=240, failures=(dataclasses.replace(GROUP, count=240, first=0),)
    ),
    "cancelled": lambda: over(JobEnd.CANCELLED),
    "expired": lambda: over(JobEnd.DEADLINE),
    "over budget": lambda: over(JobEnd.BUDGET, workers=(worker(100_200),)),
    "no workers": lambda: over(JobEnd.NOBODY, end_detail="out of memory"),
}
MODEL = """([code, css, traits, answers]) => {
    const heard = {};
    const emit = (event, value) => (heard[event] ?? []).forEach((listener) => listener(value));
    window.sent = [];
    window.model = {
        get: (name) => traits[name],
        on: (event, listener) => (heard[event] ??= []).push(listener),
        off: (event, listener) => (heard[event] = (heard[event] ?? []).filter((each) => each !== listener)),
        send: (message) => {
            window.sent.push(message);
            const answer = answers[message.kind];
            if (answer) setTimeout(() => emit("msg:custom", { id: message.id, ...answer }));
        },
        set: (changes) => {
            Object.assign(traits, changes);
            Object.keys(changes).forEach((name) => emit(`change:${name}`));
        },
    };
    const style = document.createElement("style");
    style.textContent = css;
    document.head.append(style);
    const address = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    return import(address).then(({ default: widget }) => {
        window.unmount = widget.render({ model: window.model, el: document.querySelector("main") });
    });
}"""
OPEN = """() => {
    const closed = () => [...document.querySelectorAll(".burst-view button[aria-expanded=false]")].filter((knob) => knob.offsetParent);
    for (let knobs = closed(); knobs.length; knobs = closed()) knobs.forEach((knob) => knob.click());
    document.querySelectorAll(".burst-view details").forEach((details) => (details.open = true));
    return new Promise((done) => setTimeout(done, 50)); // the page's own answers arrive in the next turn
}"""
VIOLATIONS = """() => axe.run(document.querySelector(".burst-view")).then(({ violations }) => violations.map(
    ({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.html.slice(0, 120)} ${node.failureSummary}`).join(" | ")}`))"""


def traits(seen: Snapshot, *, off: str = "") -> dict[str, str]:
    frame = frame_of(seen)
    actions = tuple(ActionState(action=action, off=off) for action in PanelAction)
    return {
        "frame": to_json(frame.lean),
        "failures": to_json(frame.failures),
        "output": to_json(frame.output),
        "host": to_json(HostState(actions=actions, notice="")),
    }


@dataclass
class Stage:
    """A page with nothing but the view, in a theme of JupyterLab; requests are answered as the kernel would."""

    page: object
    expect: object
    theme: str = "light"
    answers: dict = field(default_factory=dict)

    def show(self, seen: Snapshot, **options) -> Stage:
        ok = {
            "tasks": details.tasks_page([FAILED], details.key_of(FAILED).ident),
            "task": details.task_detail(FAILED),
            "states": details.states_page(seen),
            "workers": details.workers_page(seen),
            "timeline": timeline_page(seen, RAN, details.worker_names(seen)),
        }
        answers = {kind: {"ok": json.loads(to_json(value))} for kind, value in ok.items()} | self.answers
        self.page.set_content(
            f"<!doctype html><html lang=en><body data-jp-theme-light={str(self.theme == 'light').lower()}><main></main>"
        )
        self.page.add_style_tag(path=THEMES / f"theme-{self.theme}-extension" / "index.css")
        self.page.add_style_tag(content="body { background: var(--jp-layout-color0); margin: 8px; }")
        self.page.add_script_tag(path=AXE)
        code, css = (UI.joinpath(name).read_text(encoding="utf-8") for name in ("view.js", "view.css"))
        self.page.evaluate(MODEL, [code, css, traits(seen, **options), answers])
        return self

    def open_everything(self) -> None:
        """Every section, the first group's tasks, a task's traceback, the actions, the table of tasks."""
        self.page.evaluate(OPEN)

    def violations(self) -> list[str]:
        return self.page.evaluate(VIOLATIONS)

    @property
    def view(self):
        return self.page.locator(".burst-view")


@pytest.fixture
def stage(page, expect):
    page.clock.set_fixed_time(NOW)
    return Stage(page, expect)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("state", STATES)
def test_axe_finds_nothing_in_any_state_closed_or_open(stage, state, theme):
    stage.theme = theme
    stage.show(STATES[state]())
    closed = stage.violations()
    stage.open_everything()

    assert closed == []
    assert stage.violations() == []


@pytest.mark.parametrize("state", STATES)
def test_nothing_is_cut_off_in_a_narrow_column(stage, state):
    stage.show(STATES[state]())
    stage.open_everything()
    for width in (550, 480, 320):  # 550: a laptop's notebook at 200 %
        stage.page.set_viewport_size({"width": width, "height": 800})
        wide = stage.page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0


@pytest.mark.parametrize(
    ("state", "words"),
    {
        "empty": ["No items", "There was nothing to do"],
        "starting": ["Workers are starting", "1 pulling the image for 30 s"],
        "refused": ["No capacity for Fargate Spot", "starts are repeated"],
        "running": ["Running", "63 %", "≈ 40 s left", "$0.12 / $5.00", "148 done · 2 running · 85 pending · 5 failed"],
        "lost workers": ["1 of 2 lost, not replaced while no notebook is attached"],
        "store away": ["As seen 2 min ago: SlowDown"],
        "unpriced": ["cost unknown"],
        "some failed": ["$0.0020", "1 worker kept, $0.18 an hour, at most until"],
        "cancelled": ["Cancelled", "87 not run"],
        "expired": ["Deadline reached"],
        "over budget": ["Budget spent", "$5.01 / $5.00"],
        "no workers": ["out of memory"],
    }.items(),
)
def test_a_state_is_said_in_words(stage, state, words):
    stage.show(STATES[state]())

    for each in words:
        stage.expect(stage.view).to_contain_text(each)


def test_after_success_there_is_one_line_and_the_rest_behind_a_button(stage):
    stage.show(STATES["finished"]())
    stage.expect(stage.view.get_by_role("progressbar")).to_be_hidden()
    assert stage.view.bounding_box()["height"] < 60
    stage.view.get_by_role("button", name="Details").first.click()

    stage.expect(stage.view.get_by_role("progressbar")).to_be_visible()


def test_a_failure_leads_to_its_tasks_and_a_task_to_its_traceback(stage):
    stage.show(STATES["running"]())
    stage.view.get_by_role("button", name="Show the tasks").click()

    stage.expect(stage.view.get_by_label("Traceback of task 17")).to_contain_text("ValueError: no fixed point")
    stage.expect(stage.view).to_contain_text("3.57")
    assert stage.view.locator("b:has-text('0.5')").count() == 0  # a task's output is text, never markup


def test_a_failure_that_cannot_be_read_says_why_and_what_to_do(stage):
    stage.answers = {"tasks": {"problem": "the key is missing", "context": SID, "way_out": "%burst_attach --key"}}
    stage.show(STATES["running"]())
    stage.view.get_by_role("button", name="Show the tasks").click()

    stage.expect(stage.view).to_contain_text(f"the key is missing ({SID}) — %burst_attach --key")


def test_cancel_asks_first_and_says_what_became_of_it(stage):
    stage.answers = {"cancel": {"ok": "Cancelling this job: finished results are kept."}}
    stage.show(STATES["running"]())
    stage.view.get_by_role("button", name="Cancel", exact=True).click()
    assert stage.page.evaluate("() => window.sent") == []
    stage.view.get_by_role("button", name="Stop all tasks?").click()

    stage.expect(stage.view).to_contain_text("finished results are kept")
    assert [message["kind"] for message in stage.page.evaluate("() => window.sent")] == ["cancel"]


def test_a_control_that_is_off_says_why(stage):
    stage.show(STATES["running"](), off="the session's key is not on this machine")
    stage.view.get_by_role("button", name="Cancel", exact=True).click(force=True)

    stage.expect(stage.view).to_contain_text("the session's key is not on this machine")
    assert stage.page.evaluate("() => window.sent") == []


def test_money_and_time_are_sent_in_the_units_of_the_contract(stage):
    stage.answers = {"extend": {"ok": "done"}, "scale": {"ok": "done"}}
    stage.show(STATES["running"]())
    stage.view.get_by_role("button", name="More actions").click()
    stage.view.get_by_label("Longer by hours").fill("1.5")
    stage.view.get_by_label("Budget in $").fill("7.25")
    stage.view.get_by_role("button", name="Extend").click()
    stage.view.get_by_role("button", name="Allow 1 h 30 min longer, at most $1.08 more; $7.25 in all?").click()
    stage.view.get_by_label("Workers", exact=True).fill("8")
    stage.view.get_by_role("button", name="Scale").click()
    stage.view.get_by_role("button", name="Start 6 more, $2.16 more an hour?").click()
    sent = stage.page.evaluate("() => window.sent")

    assert [{**message, "id": 0} for message in sent] == [
        {"kind": "extend", "seconds": 5400, "budget": 7_250_000, "id": 0},
        {"kind": "scale", "workers": 8, "id": 0},
    ]


def test_one_limit_is_raised_without_the_other_and_nothing_is_asked_for_without_a_number(stage):
    stage.answers = {"extend": {"ok": "done"}}
    stage.show(STATES["running"]())
    stage.view.get_by_role("button", name="More actions").click()
    stage.view.get_by_role("button", name="Scale").click()
    stage.expect(stage.view).to_contain_text("Say how many workers there shall be")
    stage.view.get_by_role("button", name="Extend").click()
    stage.expect(stage.view).to_contain_text("Say how many hours longer it may run")
    stage.view.get_by_label("Budget in $").fill("8")
    stage.view.get_by_role("button", name="Extend").click()
    stage.view.get_by_role("button", name="Allow $8.00 in all?").click()
    sent = stage.page.evaluate("() => window.sent")

    assert [{**message, "id": 0} for message in sent] == [{"kind": "extend", "budget": 8_000_000, "id": 0}]


def test_a_question_whose_numbers_change_is_asked_again(stage):
    stage.show(STATES["running"]())
    stage.view.get_by_role("button", name="More actions").click()
    stage.view.get_by_label("Workers", exact=True).fill("3")
    stage.view.get_by_role("button", name="Scale").click()
    stage.view.get_by_label("Workers", exact=True).fill("300")
    stage.view.get_by_role("button", name="Start 1 more").click()

    stage.expect(stage.view.get_by_role("button", name="Start 298 more")).to_be_visible()
    assert stage.page.evaluate("() => window.sent") == []


def test_workers_that_are_kept_after_the_jobs_end_can_be_stopped(stage):
    stage.answers = {"cleanup": {"ok": "Stopping the workers."}}
    stage.show(STATES["finished"]())
    stage.view.get_by_role("button", name="More actions").click()
    stage.view.get_by_role("button", name="Stop the workers").click()
    stage.view.get_by_role("button", name="Stop all its workers?").click()

    stage.expect(stage.view.get_by_text("Stopping the workers.")).to_be_visible()


def test_what_is_selected_or_focused_stays_so_when_a_frame_arrives(stage):
    """In each section that shows facts or a table."""
    stage.show(STATES["running"]())
    stage.open_everything()
    nodes = "() => { window.kept = [...document.querySelectorAll('.bv-facts dd, .bv-table td')]; getSelection().selectAllChildren(window.kept[0]); }"
    stage.page.evaluate(nodes)
    stage.view.get_by_role("button", name="Copy: Session").focus()
    stage.page.evaluate(
        "changes => window.model.set(changes)", traits(job(done=160, deadline=NOW + 9000, estimate=4_000_000))
    )

    stage.expect(stage.view).to_contain_text("$4.00")
    assert stage.page.evaluate("() => window.kept.filter((node) => !node.isConnected).length") == 0
    assert stage.page.evaluate("() => String(getSelection())")
    stage.expect(stage.view.get_by_role("button", name="Copy: Session")).to_be_focused()


def test_nothing_moves_while_frames_arrive(stage):
    stage.show(
        job(
            done=0,
            running=0,
            failed=0,
            forecast=None,
            wait=WaitReason(cause=WaitCause.STARTING, words="workers are starting"),
        )
    )
    places = "() => [...document.querySelectorAll('.bv-bar, .bv-counts, .bv-note, .bv-fold-row')].map((node) => node.getBoundingClientRect().top)"
    before = stage.page.evaluate(places)
    for seen in (job(done=1, failed=0), job(done=20, failed=1), STATES["store away"](), STATES["lost workers"]()):
        stage.page.evaluate("changes => window.model.set(changes)", traits(seen))
        assert stage.page.evaluate(places) == before


def test_a_section_stays_open_and_the_focus_where_it_is_when_a_frame_arrives(stage):
    stage.show(STATES["running"]())
    stage.view.get_by_role("button", name="Show the tasks").click()
    stage.view.get_by_role("button", name="Output").click()
    stage.view.get_by_label("Filter").fill("0.7")
    stage.page.evaluate(
        "changes => window.model.set(changes)",
        traits(job(done=160, failures=(dataclasses.replace(GROUP, count=6),), failed=6)),
    )

    stage.expect(stage.view.get_by_label("Traceback of task 17")).to_be_visible()
    stage.expect(stage.view.get_by_label("Filter")).to_be_focused()
    stage.expect(stage.view.get_by_role("log")).to_contain_text("trying <b>0.7</b>")
    stage.expect(stage.view.get_by_role("log")).not_to_contain_text("0.5")


def test_tasks_are_walked_by_keyboard(stage):
    stage.show(STATES["running"]())
    stage.view.get_by_role("button", name=re.compile("Tasks$")).click()
    tasks = stage.view.get_by_role("slider")
    tasks.focus()
    for key in ("End", "ArrowLeft"):
        tasks.press(key)
    stage.expect(tasks).to_have_attribute("aria-valuetext", "task 238: pending")
    tasks.press("Home")

    stage.expect(tasks).to_have_attribute("aria-valuetext", "task 0: done")


def test_a_task_that_failed_opens_from_the_canvas(stage):
    stage.show(STATES["all failed"]())
    stage.view.get_by_role("button", name=re.compile("Tasks$")).click()
    tasks = stage.view.get_by_role("slider")
    tasks.focus()
    tasks.press("Enter")

    stage.expect(stage.view.get_by_label("Traceback of task 0")).to_be_visible()


def test_a_timeline_is_walked_by_keyboard_and_read_again_when_asked(stage):
    stage.show(STATES["running"]())
    stage.view.get_by_role("button", name="Workers").click()
    assert "timeline" not in {message["kind"] for message in stage.page.evaluate("() => window.sent")}
    stage.view.get_by_text("Timeline").click()
    lanes = stage.view.get_by_role("slider", name="Timeline")
    lanes.focus()
    for key in ("End", "ArrowLeft"):
        lanes.press(key)
    stage.expect(lanes).to_have_attribute("aria-valuetext", re.compile(r"^worker 1: task 29, 0\.8 s from"))
    for _ in range(12):
        lanes.press("ArrowLeft")
    stage.expect(lanes).to_have_attribute("aria-valuetext", re.compile(r"^worker 1: task 17.*, failed$"))
    stage.view.get_by_role("button", name="Read again").click()

    assert [message["kind"] for message in stage.page.evaluate("() => window.sent")].count("timeline") == 2


def test_what_a_finished_task_displayed_is_seen_and_runs_nothing(stage):
    shown = (*SHOWN, Display(data={"text/html": HOSTILE}), Display(data={"image/svg+xml": SVG}))
    done = Outcome(task=0, kind=OutcomeKind.VALUE, displays=shown, output="printed")
    stage.answers = {"task": {"ok": json.loads(to_json(details.task_detail(done)))}}
    stage.show(STATES["finished"]())
    stage.view.get_by_role("button", name="Details").first.click()
    stage.view.get_by_role("button", name=re.compile("Tasks$")).click()
    with stage.page.expect_console_message(lambda said: "image.invalid" in said.text and "Policy" in said.text):
        stage.view.get_by_role("slider").press("Enter")

    stage.expect(stage.view.get_by_alt_text("Displayed by task 0: <Figure>")).to_have_js_property("naturalWidth", 2)
    stage.expect(stage.view.get_by_alt_text("Displayed by task 0: <image/svg+xml>")).to_have_js_property(
        "naturalWidth", 9
    )
    stage.expect(stage.view.get_by_label("Displayed by task 0: words")).to_have_text("*words*")
    stage.expect(stage.view.get_by_label("Output of task 0")).to_have_text("printed")
    frames = stage.view.locator("iframe")
    stage.expect(frames.nth(0).content_frame.locator("th")).to_have_text("a")
    stage.expect(frames.nth(1).content_frame.locator("p")).to_have_text("the end")
    stage.expect(stage.view.locator(".bv-task-details dl")).not_to_contain_text("Failed")
    asked = []
    stage.page.on("request", lambda request: asked.append(request.url))
    for link in ("plain", "self", "top", "parent", "shadow", "drawn", "late"):
        frames.nth(1).content_frame.get_by_text(link, exact=True).click()
    stage.expect(frames.nth(1).content_frame.locator("p")).to_have_text("the end")
    assert asked == []
    assert stage.page.evaluate("window.escaped ?? 0") == 0


def test_ten_thousand_tasks_are_one_canvas_and_few_nodes(stage):
    every = tuple(Span(start=at, stop=at + 1, state=("completed", "running")[at % 2]) for at in range(10_000))
    stage.show(job(10_000, 5000, running=5000, failed=0, spans=every))
    stage.view.get_by_role("button", name=re.compile("Tasks$")).click()
    tasks = stage.view.get_by_role("slider")

    stage.expect(tasks).to_have_attribute("aria-valuemax", "9999")
    drawn = "() => { const c = document.querySelector('canvas'); return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((byte) => byte); }"
    assert stage.page.evaluate(drawn)


def test_an_announcement_is_made_once_for_each_tenth(stage):
    stage.show(job(1000, 0, failed=0))
    told = "() => { window.told = []; new MutationObserver(() => window.told.push(document.querySelector('[role=status]').textContent)).observe(document.querySelector('[role=status]'), { childList: true, characterData: true, subtree: true }); }"
    stage.page.evaluate(told)
    for done in range(0, 500, 10):
        stage.page.evaluate("changes => window.model.set(changes)", traits(job(1000, done, failed=0)))

    assert stage.page.evaluate("() => new Promise((done) => setTimeout(() => done(window.told.length)))") == 4


def test_motion_is_left_out_for_those_who_ask(stage):
    stage.page.emulate_media(reduced_motion="reduce")
    stage.show(STATES["running"]())

    assert stage.page.evaluate("() => document.getAnimations().length") == 0


def test_a_view_that_is_removed_leaves_nothing_behind(stage):
    stage.show(STATES["running"]())
    stage.page.evaluate("() => window.unmount()")
    stage.page.evaluate("changes => window.model.set(changes)", traits(STATES["finished"]()))

    stage.expect(stage.view).to_have_count(0)
