"""Two hours of a job in the panel: what a real kernel and a real page have kept of them.

A kernel draws a job of a thousand tasks four times for each second of it, as often as it ever does, with something new
in each frame. What it sends is given to the view in Chromium, where everything is open and whose clock runs along; what
the view asks for goes to the kernel and back. The first half hour fills caches, the next two hours count.
"""

from __future__ import annotations

import shutil
from importlib.resources import files
from typing import Any

from benchmarks.busy import Kernel
from benchmarks.process import Figures, serve

_RATE = 4  # frames a second
_BATCH = 200  # frames at a time: half the messages that a kernel's socket holds
_WARM = 0.25  # of the time that counts, before it
_BEGIN = """
import ctypes, gc, sys
from dataclasses import replace

import burst_magic as burst
from benchmarks.process import memory
from burst_magic.protocol.snapshot import Span
from burst_magic.ui.panel import Panel

TASKS = 1000

def odd(number):
    print("trying", number)
    if number % 20 == 3:
        raise ValueError(f"no fixed point for {number}")

session = burst.map(odd, range(TASKS), workers=2, launcher="local")
session.wait(errors="return")
last = replace(session.facts(), ended=None, end_detail="", finished_at=None)

def seen(number, count):
    done = 100 + (TASKS - 200) * number // count
    failed = max(1, done // 20)
    stops = (done - failed, done, done + 8 + number % 8, TASKS)
    states = ("completed", "failed", "running", "pending")
    spans = [Span(start=start, stop=stop, state=state) for start, stop, state in zip((0, *stops), stops, states)]
    counts = dict(completed=stops[0], failed=failed, running=8 + number % 8, pending=TASKS - stops[2])
    groups = tuple(replace(group, count=failed) for group in last.failures)
    tail = tuple((task, f"trying {task}: step {number}") for task in range(done, done + 8))
    now = last.now + number / RATE
    return replace(last, spans=tuple(spans), failures=groups, tail=tail, now=now, forecast=now + 60, **counts)

def draw(begin, end, count):
    for number in range(begin, end):
        panel.draw(seen(number, count))

def kept():
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what is free is not kept
    return memory("VmRSS")
"""
_SHOW = "panel = Panel(session, metadata={}).open(seen(0, 1))"
# Anywidget's model, but that a frame arrives each 250 ms of the page's clock, and answers are brought by us.
_MODEL = """([code, css, traits]) => {
    const heard = {};
    const emit = (event, value) => [...(heard[event] ?? [])].forEach((listener) => listener(value));
    window.sent = [];
    window.queue = [];
    const model = {
        get: (name) => traits[name],
        on: (event, listener) => (heard[event] ??= []).push(listener),
        off: (event, listener) => (heard[event] = (heard[event] ?? []).filter((each) => each !== listener)),
        send: (message) => window.sent.push(message),
    };
    const take = ({ method, state, content }) => {
        if (method === "custom") emit("msg:custom", content);
        Object.assign(traits, state);
        Object.keys(state ?? {}).forEach((name) => emit(`change:${name}`));
    };
    setInterval(() => {
        const { queue } = window;
        if (queue.length) do take(queue.shift()); while (queue.length && !queue[0].state?.frame); // with its parts
    }, 250);
    const style = document.createElement("style");
    style.textContent = css;
    document.head.append(style);
    const address = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    return import(address).then(({ default: widget }) => {
        widget.render({ model, el: document.querySelector("main") });
    });
}"""
_FLAGS = ["--no-sandbox", "--disable-gpu", "--js-flags=--jitless"]  # compiled code would be counted
_OPEN = """() => {
    const knobs = () => [...document.querySelectorAll("button[aria-expanded=false]")];
    const closed = () => knobs().filter((knob) => knob.offsetParent);
    for (let some = closed(); some.length; some = closed()) some.forEach((knob) => knob.click());
    document.querySelectorAll("details").forEach((details) => (details.open = true));
}"""
_TAKE = "() => window.sent.splice(0)"


class Page:
    """The view in Chromium, over what a kernel has sent."""

    def __init__(self, browser: Any, kernel: Kernel, now: float) -> None:
        self._kernel = kernel
        self._page = browser.new_page()
        self._page.clock.install(time=now)
        self._page.set_content("<!doctype html><html lang=en><body><main></main>")
        (opened,) = (each for each in self._heard() if each["data"].get("state", {}).get("_esm"))
        self._comm, state = opened["comm_id"], opened["data"]["state"]
        traits = {name: state[name] for name in ("frame", "failures", "output", "host")}
        view = [files("burst_magic.ui").joinpath(name).read_text("utf-8") for name in ("view.js", "view.css")]
        self._page.evaluate(_MODEL, [*view, traits])
        self._page.evaluate(_OPEN)
        self._devtools = self._page.context.new_cdp_session(self._page)
        self._devtools.send("Performance.enable")

    def live(self, seconds: float) -> int:
        """So much of the page's time, with what the kernel has said since; returns how many frames that were."""
        said = [each["data"] for each in self._heard() if each["comm_id"] == self._comm]
        self._page.evaluate("said => { window.queue.push(...said); }", said)
        self._page.clock.run_for(seconds * 1000)
        for message in self._page.evaluate(_TAKE):
            self._kernel.tell(self._comm, {"method": "custom", "content": message})
        left = self._page.evaluate("() => window.queue.length")
        assert left < _BATCH // 10, "more arrives than the page's clock lets through"
        return sum("frame" in data.get("state", {}) for data in said)

    def _heard(self) -> list[dict[str, Any]]:
        heard, self._kernel.heard = self._kernel.heard, []
        return heard

    def kept(self) -> Figures:
        """Bytes of the heap, nodes and listeners that something still refers to."""
        for _ in range(2):  # what the first lets go may hold more
            self._devtools.send("HeapProfiler.collectGarbage")
        metrics = self._devtools.send("Performance.getMetrics")["metrics"]
        named = {each["name"]: each["value"] for each in metrics}
        return {name: named[name] for name in ("JSHeapUsedSize", "Nodes", "JSEventListeners")}


def replayed(*, minutes: int) -> Figures:
    """How much more a kernel and a page hold after so many minutes of frames than before them, in percent."""
    from playwright.sync_api import sync_playwright

    warm = round(minutes * 60 * _RATE * _WARM / _BATCH) * _BATCH
    count = warm + minutes * 60 * _RATE
    kernel = Kernel()
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=_FLAGS)
        try:
            kernel.run(f"RATE = {_RATE}\n{_BEGIN}")
            now = kernel.run("last.now")
            kernel.run(_SHOW)
            page = Page(browser, kernel, now)
            frames, looks = 0, []
            for begin in range(0, count, _BATCH):
                end = min(count, begin + _BATCH)
                kernel.run(f"draw({begin}, {end}, {count})")
                frames += page.live((end - begin) / _RATE)
                if end in {warm, count}:
                    looks.append(page.kept() | {"kernel": kernel.run("kept()")})
        finally:
            kernel.close()
            browser.close()
    assert frames >= count - 1, "frames were lost on the way"  # the first may show what the panel opened with
    before, after = looks
    return {name: 100 * (after[name] / before[name] - 1) for name in before} | {"frames": frames}


if __name__ == "__main__":
    serve({"replayed": replayed})
