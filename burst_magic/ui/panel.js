// The live panel. Draws what the one synced trait `state` says (see frame() in model.py); keeps nothing of its own,
// so that a reload shows the same. All foreign text goes through textContent.
const STATES = ["pending", "running", "completed", "failed"];
const THIN = "\u202f";
const LEGEND = ["completed", "running", "pending", "failed"];
const count = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, THIN);

function make(tag, className = "", text = "") {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

function row(...texts) {
  const node = make("tr");
  node.append(...texts.map((text) => make("td", "", text)));
  return node;
}

// [repeats, running, completed, failed] -> one [start, stop, pending, running, completed, failed] for each cell
function unfold(state) {
  const cells = [];
  for (const [repeats, running, completed, failed] of state.cells) {
    for (let k = 0; k < repeats; k++) {
      const start = cells.length * state.size;
      const stop = Math.min(start + state.size, state.total);
      cells.push([start, stop, stop - start - running - completed - failed, running, completed, failed]);
    }
  }
  return cells;
}

// Failures on top and never thinner than a few pixels; below them pending, running, and completed at the foot.
function drawStrip(canvas, cells) {
  const scale = window.devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * scale);
  const height = Math.round(canvas.clientHeight * scale);
  if (!width || !height) return;
  canvas.width = width;
  canvas.height = height;
  const style = getComputedStyle(canvas);
  const [idle, run, done, fail] = ["idle", "run", "done", "fail"].map((name) => style.getPropertyValue(`--burst-${name}`).trim());
  const pen = canvas.getContext("2d");
  const gap = width / cells.length >= 8 * scale ? Math.round(scale) : 0;
  const bar = (left, right, top, foot, colour) => {
    if (foot <= top) return;
    pen.fillStyle = colour;
    pen.fillRect(left, top, right - left, foot - top);
  };
  cells.forEach(([start, stop, , running, completed, failed], k) => {
    const left = Math.round((k * width) / cells.length);
    const right = Math.max(left + 1, Math.round(((k + 1) * width) / cells.length) - gap);
    const rest = stop - start - failed;
    const high = !rest ? height : failed ? Math.max(height * 0.18, (height * failed) / (stop - start)) : 0;
    const room = rest ? (height - high) / rest : 0;
    const runningTop = height - room * (completed + running);
    const completedTop = height - room * completed;
    bar(left, right, 0, high, fail);
    bar(left, right, high, runningTop, idle);
    bar(left, right, runningTop, completedTop, run);
    bar(left, right, completedTop, height, done);
  });
}

function describe([start, stop, ...mix], idle) {
  const tasks = stop - start === 1 ? `task ${count(start)}` : `tasks ${count(start)} – ${count(stop - 1)}`;
  const parts = STATES.map((name, k) => [mix[k], k ? name : idle]).filter(([n]) => n);
  return `${tasks}: ${parts.map(([n, name]) => (stop - start === 1 ? name : `${count(n)} ${name}`)).join(", ")}`;
}

// Asks twice; says so when the kernel is too busy to hear.
function cancelButton(model) {
  const button = make("button", "", "Cancel");
  button.type = "button";
  let timer;
  const rest = () => {
    button.className = "";
    button.textContent = "Cancel";
    button.disabled = false;
  };
  button.addEventListener("click", () => {
    clearTimeout(timer);
    if (!button.className) {
      button.className = "burst-sure";
      button.textContent = "Stop all tasks?";
      timer = setTimeout(rest, 4000);
      return;
    }
    rest();
    button.disabled = true;
    button.textContent = "Cancelling…";
    model.send({ kind: "cancel" });
    timer = setTimeout(() => (button.textContent = "Waiting for the kernel to be free…"), 3000);
  });
  return { button, rest: () => (clearTimeout(timer), rest()), stop: () => clearTimeout(timer) };
}

function render({ model, el }) {
  const root = make("section", "burst");
  const head = make("header");
  const state = make("span", "burst-state");
  const title = make("span", "burst-title");
  const time = make("span", "burst-time");
  const cancel = cancelButton(model);
  head.append(state, title, time, cancel.button);
  const canvas = make("canvas", "burst-strip");
  canvas.setAttribute("role", "img");
  const legend = make("div", "burst-legend");
  const numbers = LEGEND.map((name) => {
    const item = make("span", "burst-count");
    const number = make("b");
    const word = make("span");
    item.append(make("i", `burst-key burst-${name}`), number, " ", word);
    legend.append(item);
    return { name, item, number, word };
  });
  const reused = make("span", "burst-count");
  const whole = make("span", "burst-whole");
  legend.append(reused, whole);
  const waiting = make("p", "burst-waiting");
  const notice = make("p", "burst-notice");
  const facts = make("dl", "burst-facts");
  const errors = make("table", "burst-errors");
  const tail = make("details", "burst-tail");
  tail.open = true;
  const lines = make("table");
  tail.append(make("summary", "", "output"), lines);
  root.append(head, canvas, legend, waiting, notice, facts, errors, tail);
  el.append(root);

  let shown = null;
  let cells = [];

  function draw() {
    const text = model.get("state");
    if (!text) return;
    shown = JSON.parse(text);
    cells = unfold(shown);
    root.className = `burst burst-is-${shown.phase}`;
    state.textContent = shown.state;
    title.textContent = shown.title;
    time.textContent = [shown.elapsed, shown.left].filter(Boolean).join(" · ");
    cancel.button.hidden = !shown.buttons.includes("cancel");
    if (shown.notice) cancel.rest();
    for (const { name, item, number, word } of numbers) {
      const n = shown.counts[STATES.indexOf(name)];
      item.className = n ? "burst-count" : "burst-count burst-none";
      item.hidden = !n && shown.over && (name === "running" || name === "pending");
      number.textContent = count(n);
      word.textContent = name === "pending" ? shown.idle : name;
    }
    reused.textContent = shown.reused ? `${count(shown.reused)} reused` : "";
    reused.hidden = !shown.reused;
    whole.replaceChildren(make("b", "", shown.progress), ` of ${count(shown.total)}`);
    waiting.textContent = shown.waiting;
    waiting.hidden = !shown.waiting;
    notice.textContent = shown.notice;
    notice.hidden = !shown.notice;
    const pairs = { workers: shown.workers, cost: shown.cost, longest: shown.longest, reattach: shown.go_on };
    facts.replaceChildren(
      ...Object.entries(pairs).filter(([, fact]) => fact).flatMap(([label, fact]) => [make("dt", "", label), make("dd", "", fact)]),
    );
    errors.replaceChildren(...shown.errors.map(([n, message]) => row(`${count(n)} ×`, message)));
    if (shown.more) errors.append(row("", `and ${shown.more} more kinds of failure`));
    errors.hidden = !shown.errors.length;
    lines.replaceChildren(...shown.tail.map(([task, line]) => row(count(task), line)));
    tail.hidden = !shown.tail.length;
    canvas.setAttribute("aria-label", `${shown.progress} of ${shown.total} tasks done, ${shown.counts[3]} failed`);
    drawStrip(canvas, cells);
  }

  canvas.addEventListener("mousemove", (event) => {
    const cell = cells[Math.floor((event.offsetX / canvas.clientWidth) * cells.length)];
    canvas.title = cell ? describe(cell, shown.idle) : "";
  });
  const redraw = () => shown && drawStrip(canvas, cells);
  const sized = new ResizeObserver(redraw);
  sized.observe(canvas);
  const themed = new MutationObserver(redraw);
  themed.observe(document.body, { attributes: true, attributeFilter: ["class", "data-jp-theme-light"] });
  model.on("change:state", draw);
  draw();
  // A view that is born after the end (a reload, a browser that was closed) asks for the static picture again.
  if (shown?.over) model.send({ kind: "shown" });
  return () => {
    cancel.stop();
    sized.disconnect();
    themed.disconnect();
    model.off("change:state", draw);
  };
}

export default { render };
