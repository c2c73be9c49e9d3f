// Built from labextension/src by `make panel`; edit there.

// src/frame.ts
var VERSION = 1;
var MIME = "application/vnd.burst+json";

// src/dom.ts
function make(tag, className = "", text = "") {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}
function button(className, text, onClick) {
  const node = make("button", className, text);
  node.type = "button";
  node.addEventListener("click", onClick);
  return node;
}
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
function scrolled(text, label) {
  const pre = make("pre", "bv-pre", text);
  pre.tabIndex = 0;
  pre.setAttribute("role", "group");
  pre.setAttribute("aria-label", label);
  return pre;
}
var Keyed = class {
  constructor(parent, born) {
    this.parent = parent;
    this.born = born;
  }
  parent;
  born;
  items = /* @__PURE__ */ new Map();
  /** One child for each value, in this order; `fill` draws it. */
  draw(values, keyOf, fill2) {
    const kept = new Set(values.map(keyOf));
    for (const [key, item] of this.items) {
      if (kept.has(key)) continue;
      item.stop?.();
      item.node.remove();
      this.items.delete(key);
    }
    values.forEach((value, at) => {
      const key = keyOf(value);
      const item = this.items.get(key) ?? this.born(key);
      this.items.set(key, item);
      fill2(item, value);
      const place = this.parent.children[at] ?? null;
      if (place !== item.node) this.parent.insertBefore(item.node, place);
    });
  }
};
var ids = 0;
function fresh(name) {
  ids += 1;
  return `burst-${name}-${ids}`;
}

// src/host.ts
function inWords(answer) {
  const where = answer.context ? ` (${answer.context})` : "";
  const wayOut = answer.way_out ? ` — ${answer.way_out}` : "";
  return `${answer.problem}${where}${wayOut}`;
}

// src/words.ts
var THIN = " ";
var MICRO = 1e6;
function count(number) {
  return String(number).replace(/\B(?=(\d{3})+$)/g, THIN);
}
function plural(number, word) {
  return `${count(number)} ${word}${number === 1 ? "" : "s"}`;
}
function percent(part, whole) {
  if (whole <= 0) return `100${THIN}%`;
  if (part > 0 && part * 100 < whole) return `<1${THIN}%`;
  return `${Math.floor(part * 100 / whole)}${THIN}%`;
}
var UNITS = [
  [86400, "d", 3600, "h"],
  [3600, "h", 60, "min"],
  [60, "min", 1, "s"]
];
function duration(seconds) {
  if (seconds < 9.95) return `${Math.max(0, seconds).toFixed(1)} s`;
  const whole = Math.round(seconds);
  for (const [unit, name, part, partName] of UNITS) {
    if (whole >= unit) {
      const rest = Math.floor(whole % unit / part);
      return `${Math.floor(whole / unit)} ${name} ${String(rest).padStart(2, "0")} ${partName}`;
    }
  }
  return `${whole} s`;
}
function about(seconds) {
  if (seconds < 10) return "a few seconds";
  if (seconds < 57.5) return `≈ ${5 * Math.round(seconds / 5)} s`;
  if (seconds < 5370) return `≈ ${Math.max(1, Math.round(seconds / 60))} min`;
  if (seconds < 36 * 3600) return `≈ ${Math.round(seconds / 1800) / 2} h`;
  return `≈ ${Math.round(seconds / 86400)} d`;
}
function age(seconds) {
  if (seconds < 59.5) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 3570) return `${Math.round(seconds / 60)} min`;
  if (seconds < 36 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}
function dollars(micros) {
  if (micros === 0 || micros >= MICRO / 100) {
    const [whole = "0", cents = "00"] = (micros / MICRO).toFixed(2).split(".");
    return `$${count(Number(whole))}.${cents}`;
  }
  return micros >= MICRO / 1e4 ? `$${(micros / MICRO).toFixed(4)}` : "<$0.0001";
}

// src/questions.ts
function scaling(frame, workers) {
  const more = workers - (frame?.workers.wanted ?? 0);
  if (!frame || more <= 0 || frame.money.free) return "";
  const each = frame.money.worker_hourly;
  const price = frame.money.priced && each !== void 0 ? `${dollars(more * each)} more an hour` : "cost unknown";
  return `Start ${count(more)} more, ${price}?`;
}
function extending(frame, seconds, budget) {
  if (!frame || frame.money.free) return "";
  const { money, workers } = frame;
  const hourly = money.worker_hourly === void 0 ? money.hourly : money.worker_hourly * workers.wanted;
  const price = money.priced ? `at most ${dollars(hourly * seconds / 3600)} more` : "cost unknown";
  const longer = seconds ? `${duration(seconds)} longer, ${price}` : "";
  const dearer = budget ? `${dollars(budget)} in all` : "";
  return `Allow ${[longer, dearer].filter(Boolean).join("; ")}?`;
}
function stopping(frame) {
  const left = frame?.counts.pending ?? 0;
  return left ? `Leave ${plural(left, "pending task")} undone?` : "Stop all its workers?";
}

// src/actions.ts
var ASKING = 4e3;
var PATIENCE = 3e3;
var Action = class {
  constructor(label, question, act, tell, missing = () => "", waiting = "Asked; no answer yet. A busy kernel answers when its cell ends.") {
    this.label = label;
    this.question = question;
    this.act = act;
    this.tell = tell;
    this.missing = missing;
    this.waiting = waiting;
    this.node = button("bv-button", label, () => {
      this.click();
    });
  }
  label;
  question;
  act;
  tell;
  missing;
  waiting;
  node;
  timer;
  asked = "";
  // the question that stands, or ""
  busy = false;
  off = "";
  /** On with "", off with a reason; null: this host does not offer it. */
  allow(off) {
    this.node.hidden = off === null;
    this.off = off ?? "";
    if (off && this.asked) this.rest();
    this.node.setAttribute("aria-disabled", String(Boolean(off) || this.busy));
    this.node.title = this.off;
  }
  stop() {
    clearTimeout(this.timer);
  }
  click() {
    if (this.busy) return;
    const wrong = this.off || this.missing();
    const question = this.question();
    if (wrong) this.tell(wrong);
    else if (question !== this.asked) this.ask(question);
    else void this.run();
  }
  ask(question) {
    this.rest();
    this.asked = question;
    this.node.classList.add("bv-sure");
    this.node.textContent = question;
    this.timer = setTimeout(() => {
      this.rest();
    }, ASKING);
  }
  rest() {
    clearTimeout(this.timer);
    this.asked = "";
    this.node.classList.remove("bv-sure");
    this.node.textContent = this.label;
  }
  async run() {
    this.rest();
    this.busy = true;
    this.node.setAttribute("aria-disabled", "true");
    this.timer = setTimeout(() => {
      this.tell(this.waiting);
    }, PATIENCE);
    const answer = await this.act().catch((error) => ({ problem: String(error) }));
    clearTimeout(this.timer);
    this.busy = false;
    this.allow(this.off);
    const said = answer.problem === void 0 ? answer.ok : inWords(answer);
    if (typeof said === "string") this.tell(said);
  }
};
var Actions = class {
  constructor(host, tell) {
    this.host = host;
    this.tell = tell;
    this.add("collect", {
      label: "Collect",
      question: () => "",
      // it costs nothing
      act: () => host.ask("collect")
    });
    const workers = field("Workers", { min: "1", step: "1" });
    const hours = field("Longer by hours", { min: "0", step: "0.5" });
    const budget = field("Budget in $", { min: "0", step: "0.01" });
    const wanted = () => Math.round(positive(workers.input));
    this.add("scale", {
      label: "Scale",
      fields: [workers.node],
      missing: () => wanted() ? "" : "Say how many workers there shall be: 1 or more",
      question: () => scaling(host.frame(), wanted()),
      act: () => host.ask("scale", { workers: wanted() })
    });
    const seconds = () => Math.round(positive(hours.input) * 3600);
    const micros = () => Math.round(positive(budget.input) * 1e6);
    this.add("extend", {
      label: "Extend",
      fields: [hours.node, budget.node],
      missing: () => seconds() || micros() ? "" : "Say how many hours longer it may run, or what it may cost",
      question: () => extending(host.frame(), seconds(), micros()),
      act: () => host.ask("extend", { ...seconds() ? { seconds: seconds() } : {}, ...micros() ? { budget: micros() } : {} })
    });
    this.add("cleanup", {
      label: "Stop the workers",
      question: () => stopping(host.frame()),
      act: () => host.ask("cleanup")
    });
    this.add("cancel_session", {
      label: "Cancel the session",
      question: () => "Stop all its jobs?",
      act: () => host.ask("cancel_session")
    });
  }
  host;
  tell;
  node = make("div", "bv-actions");
  entries = [];
  draw() {
    for (const { name, action, row } of this.entries) {
      const off = this.host.can(name);
      row.hidden = off === null;
      action.allow(off);
    }
  }
  /** Whether there is anything behind the dots. */
  get any() {
    return this.entries.some(({ name }) => this.host.can(name) !== null);
  }
  stop() {
    for (const { action } of this.entries) action.stop();
  }
  add(name, { label, question, act, missing, fields = [] }) {
    const action = new Action(label, question, act, this.tell, missing);
    const row = make("div", "bv-action-row");
    row.append(...fields, action.node);
    this.node.append(row);
    this.entries.push({ name, action, row });
  }
};
function positive(input) {
  return Math.max(0, Number(input.value) || 0);
}
function field(label, limits) {
  const node = make("span", "bv-field");
  const name = make("label", "", label);
  const input = make("input");
  input.type = "number";
  input.min = limits.min;
  input.step = limits.step;
  input.id = fresh("field");
  name.htmlFor = input.id;
  node.append(name, input);
  input.addEventListener("keydown", (event) => {
    event.stopPropagation();
  });
  return { node, input };
}

// src/bar.ts
var LEAST = 0.6;
var Bar = class {
  node = make("div", "bv-bar");
  parts = /* @__PURE__ */ new Map();
  constructor() {
    this.node.setAttribute("role", "progressbar");
    this.node.setAttribute("aria-valuemin", "0");
    for (const state of ["done", "running", "pending", "failed"]) {
      const part = make("span", `bv-part bv-${state}`);
      this.parts.set(state, part);
      this.node.append(part);
    }
  }
  draw(segments, done, total, text) {
    for (const { state, count: count2 } of segments) {
      const part = this.parts.get(state);
      if (!part) continue;
      part.style.flexGrow = String(count2);
      part.style.minWidth = count2 ? `max(${LEAST}%, 3px)` : "0";
      part.hidden = !count2;
    }
    this.node.setAttribute("aria-valuemax", String(Math.max(1, total)));
    this.node.setAttribute("aria-valuenow", String(total ? done : 1));
    this.node.setAttribute("aria-valuetext", text);
    this.node.setAttribute("aria-label", "Tasks done");
  }
};

// src/facts.ts
var Facts = class {
  node = make("dl", "bv-facts");
  rows = new Keyed(this.node, (label) => new Row(label));
  draw(details) {
    this.rows.draw(details, ({ label }) => label, (row, detail) => {
      row.draw(detail);
    });
  }
};
var Row = class {
  node = make("div", "bv-fact");
  fact = make("dd");
  text = make("span");
  copy;
  constructor(label) {
    this.copy = copyButton(() => this.text.textContent, label);
    this.fact.append(this.text, " ", this.copy);
    this.node.append(make("dt", "", label), this.fact);
  }
  draw({ text, copies }) {
    say(this.text, text);
    this.copy.hidden = !copies;
  }
};
function copyButton(text, label, word = "Copy") {
  const knob = button("bv-small", word, () => {
    void navigator.clipboard.writeText(text()).then(
      () => knob.textContent = "Copied",
      () => knob.textContent = "Not allowed here: select and copy"
    );
  });
  knob.setAttribute("aria-label", `${word}: ${label}`);
  return knob;
}

// src/displays.ts
var POLICY = "default-src 'none'; img-src data:; media-src data:; font-src data:; style-src 'unsafe-inline'";
var STYLE = "body { margin: 8px; color: #111; background: #fff; font: 13px/1.45 system-ui, sans-serif } table { border-collapse: collapse; font-size: 12px } th, td { padding: 2px 8px; text-align: right } tr:nth-child(even) { background: #f5f5f5 }";
var TURNS = 20;
function frameDocument(html) {
  let text = documentOf(html);
  for (let turn = 0; turn < TURNS; turn += 1) {
    const next = linkedOutside(text);
    if (next === text) return text;
    text = next;
  }
  return documentOf(`<pre>${html.replaceAll("&", "&amp;").replaceAll("<", "&lt;")}</pre>`);
}
function documentOf(body) {
  const head = `<meta http-equiv="Content-Security-Policy" content="${POLICY}"><style>${STYLE}</style>`;
  return `<!DOCTYPE html><html><head>${head}</head><body>${body}</body></html>`;
}
function linkedOutside(text) {
  const parsed = new DOMParser().parseFromString(text, "text/html");
  const clean = (part) => {
    for (const node of part.querySelectorAll("a, area, [target]")) node.setAttribute("target", "_blank");
    for (const { content } of part.querySelectorAll("template")) clean(content);
  };
  clean(parsed);
  return `<!DOCTYPE html>${parsed.documentElement.outerHTML}`;
}
function displayed(view, task) {
  const words = `Displayed by task ${task}: ${view.words}`;
  if (view.mime === "text/html") {
    const frame = make("iframe", "bv-frame");
    frame.setAttribute("sandbox", "");
    frame.referrerPolicy = "no-referrer";
    frame.title = words;
    frame.srcdoc = frameDocument(view.data);
    return frame;
  }
  if (view.mime.startsWith("image/")) {
    const image = make("img", "bv-image");
    const data = view.mime === "image/svg+xml" ? `,${encodeURIComponent(view.data.replace(/\p{Surrogate}/gu, "�"))}` : `;base64,${view.data}`;
    image.src = `data:${view.mime}${data}`;
    image.alt = words;
    return image;
  }
  return scrolled(view.data, words);
}

// src/task.ts
async function taskDetails(host, task) {
  const answer = await host.ask("task", { task });
  const node = make("div", "bv-task-details");
  if (answer.problem !== void 0) {
    node.append(make("p", "bv-trouble", inWords(answer)));
    return node;
  }
  const facts = make("dl", "bv-facts");
  for (const [label, text] of taskFacts(answer.ok)) facts.append(make("dt", "", label), make("dd", "", text));
  node.append(facts);
  const frame = host.frame();
  if (frame) node.append(copyButton(() => linesFor(frame, task), `lines that bring the item of task ${task} here`, "Copy lines to run it here"));
  const add = (label, text) => {
    if (text) node.append(scrolled(text, `${label} of task ${task}`));
  };
  add("Traceback", answer.ok.traceback);
  node.append(...answer.ok.displays.map((each) => displayed(each, task)));
  add("Output", answer.ok.output);
  return node;
}
function linesFor(frame, task) {
  const lines = [
    "import burst_magic",
    `item = burst_magic.attach("${frame.session}/${frame.job}").items()[${task}]`,
    "item  # in the next cell, run the code of the %%burst cell without its first line"
  ];
  return lines.join("\n");
}
function taskFacts(detail) {
  const facts = [
    ["Task", count(detail.task)],
    ["Item", detail.item],
    ["Failed", detail.kind ? [detail.type || detail.kind, detail.message.split("\n")[0]].filter(Boolean).join(": ") : ""],
    ["Line", detail.line === null ? "" : `${detail.line} of the cell`],
    ["Worker", detail.worker],
    ["Took", detail.wall ? duration(detail.wall) : ""],
    ["Memory", detail.peak_mb ? `${count(Math.round(detail.peak_mb))} MiB at its peak` : ""],
    ["Attempts", detail.attempts > 1 ? count(detail.attempts) : ""]
  ];
  return facts.filter(([, text]) => text);
}

// src/failures.ts
var Failures = class {
  constructor(host) {
    this.host = host;
    this.node.append(this.none, this.list, this.more);
  }
  host;
  node = make("div", "bv-failures");
  none = make("p", "bv-quiet", "No failures");
  list = make("ul", "bv-groups");
  more = make("p", "bv-quiet");
  rows = new Keyed(this.list, (id) => new Row2(id, this.host));
  draw(lines, more) {
    this.none.hidden = lines.length > 0;
    this.list.hidden = !lines.length;
    this.more.hidden = !more;
    say(this.more, more);
    this.rows.draw(lines, ({ id }) => id, (row, line) => {
      row.draw(line);
    });
  }
};
var Row2 = class {
  constructor(id, host) {
    this.id = id;
    this.host = host;
    const line = make("div", "bv-group-line");
    this.body.id = fresh("group");
    this.body.hidden = true;
    this.show = button("bv-small", "Show", () => {
      this.toggle();
    });
    this.show.setAttribute("aria-expanded", "false");
    this.show.setAttribute("aria-controls", this.body.id);
    this.further = button("bv-small", "More", () => void this.fill());
    this.further.hidden = true;
    this.strip.setAttribute("role", "group");
    this.strip.setAttribute("aria-label", "Failed tasks");
    this.body.append(this.strip, this.further, this.trouble, this.picked);
    line.append(this.mark, this.message, this.where, this.show);
    this.node.append(line, this.body);
  }
  id;
  host;
  node = make("li", "bv-group");
  mark = make("b", "bv-number");
  message = make("code", "bv-message");
  where = make("span", "bv-where");
  body = make("div", "bv-group-body");
  strip = make("div", "bv-task-list");
  trouble = make("p", "bv-trouble");
  picked = make("div", "bv-task");
  show;
  further;
  next = null;
  what = "";
  draw(line) {
    say(this.mark, line.number);
    say(this.message, line.message);
    this.message.title = line.message;
    say(this.where, line.where);
    this.show.hidden = !line.opens;
    this.what = `${line.number}, ${line.message}`;
    this.label();
  }
  /** The button's word, and for those who do not see what it stands beside, of what. */
  label() {
    const word = this.body.hidden ? "Show" : "Hide";
    say(this.show, word);
    this.show.setAttribute("aria-label", `${word} the tasks: ${this.what}`);
  }
  toggle() {
    this.body.hidden = !this.body.hidden;
    this.show.setAttribute("aria-expanded", String(!this.body.hidden));
    this.label();
    if (this.body.hidden) return;
    this.next = null;
    this.strip.replaceChildren();
    void this.fill();
  }
  async fill() {
    say(this.trouble, "");
    const after = this.next === null ? {} : { after: this.next };
    const answer = await this.host.ask("tasks", { group: this.id, ...after });
    if (answer.problem !== void 0) {
      say(this.trouble, inWords(answer));
      return;
    }
    const before = this.strip.childElementCount;
    this.strip.append(...answer.ok.rows.map((row) => this.knob(row)));
    this.next = answer.ok.next;
    this.further.hidden = this.next === null;
    const first = this.strip.querySelector("button");
    if (!before && first) first.click();
  }
  knob(row) {
    const knob = button("bv-small", count(row.task), () => {
      for (const other of this.strip.children) other.setAttribute("aria-pressed", "false");
      knob.setAttribute("aria-pressed", "true");
      void this.open(row.task);
    });
    knob.title = [row.item, row.message].filter(Boolean).join(": ");
    knob.setAttribute("aria-label", `Task ${row.task}`);
    knob.setAttribute("aria-pressed", "false");
    return knob;
  }
  async open(task) {
    this.picked.replaceChildren(await taskDetails(this.host, task));
  }
};

// src/folds.ts
var Folds = class {
  node = make("div", "bv-folds");
  row = make("div", "bv-fold-row");
  constructor() {
    this.node.append(this.row);
  }
  add(name, onOpen) {
    const body = make("div", `bv-fold bv-fold-${name.toLowerCase()}`);
    body.id = fresh(name.toLowerCase());
    body.hidden = true;
    const word = make("span", "", name);
    const knob = button("bv-knob", "", () => {
      body.hidden = !body.hidden;
      knob.setAttribute("aria-expanded", String(!body.hidden));
      if (!body.hidden) onOpen();
    });
    knob.setAttribute("aria-expanded", "false");
    knob.setAttribute("aria-controls", body.id);
    knob.append(word);
    this.row.append(knob);
    this.node.append(body);
    return {
      body,
      title: (text) => {
        say(word, text);
      },
      get isOpen() {
        return !body.hidden;
      }
    };
  }
};

// src/output.ts
var Output = class {
  box = make("div", "bv-output");
  search = make("input");
  lines = [];
  painted = "";
  constructor(body) {
    const label = make("label", "bv-field", "Filter ");
    this.search.type = "search";
    this.search.addEventListener("input", () => {
      this.paint();
    });
    this.search.addEventListener("keydown", (event) => {
      event.stopPropagation();
    });
    label.append(this.search);
    this.box.tabIndex = 0;
    this.box.setAttribute("role", "log");
    this.box.setAttribute("aria-label", "Output of tasks");
    this.box.setAttribute("aria-live", "off");
    body.append(label, this.box);
  }
  draw(lines) {
    this.lines = lines;
    this.paint();
  }
  /** Unchanged lines stay, with what the reader has selected of them. */
  paint() {
    const wanted = this.search.value.toLowerCase();
    const key = JSON.stringify([wanted, this.lines]);
    if (key === this.painted) return;
    this.painted = key;
    const follows = this.box.scrollTop + this.box.clientHeight >= this.box.scrollHeight - 4;
    const shown2 = this.lines.filter((line) => line.text.toLowerCase().includes(wanted) || String(line.task) === wanted);
    const rows = shown2.map(({ task, text }) => {
      const row = make("div", "bv-line");
      row.append(make("span", "bv-line-task", count(task)), make("span", "", text));
      return row;
    });
    const none = this.lines.length ? "No line matches." : "The tasks have printed nothing yet.";
    this.box.replaceChildren(...rows.length ? rows : [make("p", "bv-quiet", none)]);
    if (follows) this.box.scrollTop = this.box.scrollHeight;
  }
};

// src/money.ts
function grown(amount, hourly, at, until) {
  return Math.round(amount + hourly * Math.max(0, until - at) / 3600);
}
function spentAt(money, until) {
  return grown(money.spent, money.hourly, money.at, until);
}
function budgetOf(money) {
  return money.budget === null ? "" : ` / ${dollars(money.budget)}`;
}
function keptWords(workers, money) {
  const hourly = money?.priced && money.kept ? `, ${dollars(money.kept.hourly)} an hour` : "";
  return `${plural(workers, "worker")} kept${hourly}`;
}

// src/shown.ts
var SILENT = 15;
var SLOW = 60;
function shown(frame, link, now) {
  return inStoreTime(frame, link, link.from === "saved" && frame.ended === null ? frame.at : now + link.ahead);
}
function inStoreTime(frame, link, now) {
  const { counts } = frame;
  const over = frame.ended !== null;
  const done = counts.completed + counts.failed;
  const idle = over ? "not run" : "pending";
  const note = noteOf(frame, link, now);
  const progress = counts.total ? percent(done, counts.total) : "";
  return {
    at: now,
    phase: frame.phase,
    link: link.from,
    state: sentence(frame.state),
    title: frame.title,
    percent: progress,
    time: timeOf(frame, now),
    money: moneyOf(frame, now),
    kept: keptOf(frame.money, now),
    over,
    plain: frame.phase === "finished" && counts.failed === 0 && counts.total > 0,
    segments: [
      { state: "done", count: counts.completed },
      { state: "running", count: counts.running },
      { state: "pending", count: counts.pending + counts.not_run },
      { state: "failed", count: counts.failed }
    ],
    done,
    total: counts.total,
    failed: counts.failed,
    counts: countsOf(frame, idle),
    idle,
    spoken: counts.total ? `${sentence(frame.state)}: ${countsOf(frame, idle)}` : `${sentence(frame.state)}: no tasks`,
    note: note.text,
    noteKind: note.kind,
    failures: failureLines(frame),
    moreFailures: moreOf(frame),
    cells: cellsOf(frame.tasks, counts.total),
    workersTitle: over ? "Workers" : `Workers ${count(frame.workers.alive)} of ${count(frame.workers.wanted)}`,
    workers: workerRows(frame, now),
    output: frame.output?.lines ?? [],
    details: detailsOf(frame, now)
  };
}
function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
function timeOf(frame, now) {
  if (frame.ended !== null) return `in ${duration(frame.ended - frame.created)}`;
  if (frame.forecast === null) return duration(now - frame.created);
  return frame.forecast <= now ? "longer than expected" : `${about(frame.forecast - now)} left`;
}
function moneyOf(frame, now) {
  const { money } = frame;
  if (!money.priced) return "cost unknown";
  if (money.free) return `no charge${budgetOf(money)}`;
  if (frame.ended !== null && frame.end !== "budget" && money.job !== null) return dollars(money.job);
  return sessionCost(frame, now);
}
function sessionCost(frame, now) {
  return `${dollars(spentAt(frame.money, growsUntil(frame, now)))}${budgetOf(frame.money)}`;
}
function growsUntil({ ended, deadline, money, at }, now) {
  return Math.min(now, ended === null ? deadline || now : money.kept?.until ?? at);
}
function keptOf(money, now) {
  const { kept } = money;
  return !kept || kept.until <= now ? "" : `${keptWords(kept.count, money)}, at most until ${timeOfDay(kept.until, now)}`;
}
function countsOf(frame, idle) {
  const { counts } = frame;
  if (!counts.total) return "no tasks";
  const parts = [`${count(counts.completed)} done`];
  if (!frame.ended || counts.running) parts.push(`${count(counts.running)} running`);
  const rest = counts.pending + counts.not_run;
  if (!frame.ended || rest) parts.push(`${count(rest)} ${idle}`);
  parts.push(`${count(counts.failed)} failed`);
  if (counts.reused) parts.push(`${count(counts.reused)} reused`);
  return parts.join(" · ");
}
function noteOf(frame, link, now) {
  const over = frame.ended !== null;
  if (link.problem) return { text: sinceSeen(link, now, link.problem), kind: "stale" };
  if (!over && link.from === "saved") {
    return { text: `As of ${clock(frame.at)}. To follow it, run ${frame.attach}`, kind: "stale" };
  }
  if (!over && link.from === "server" && link.seen !== null && sinceAnswer(link, now) > SILENT) {
    return { text: sinceSeen(link, now, "the Jupyter server does not answer"), kind: "stale" };
  }
  if (frame.stale) return { text: `As seen ${age(now - frame.stale.since)} ago: ${frame.stale.why}`, kind: "stale" };
  if (over) return { text: afterwards(frame, link), kind: "" };
  if (frame.waiting) {
    const since = frame.waiting.since === null ? "" : ` for ${duration(now - frame.waiting.since)}`;
    const wayOut = frame.waiting.way_out ? `; ${frame.waiting.way_out}` : "";
    return { text: `${sentence(frame.waiting.words)}${since}${coming(frame, now)}${wayOut}`, kind: "waiting" };
  }
  const { lost, refused } = frame.workers;
  if (lost || refused) return { text: [lost, refused].filter(Boolean).map(sentence).join("; "), kind: "waiting" };
  return { text: doing(frame, now), kind: "" };
}
function sinceSeen(link, now, why) {
  return link.seen === null ? sentence(why) : `As seen ${age(sinceAnswer(link, now))} ago: ${why}`;
}
function sinceAnswer(link, now) {
  return link.seen === null ? Infinity : now - link.ahead - link.seen / 1e3;
}
function coming(frame, now) {
  const parts = frame.workers.coming.map((each) => `${count(each.count)} ${each.phase} for ${age(now - each.since)}`);
  return parts.length ? ` (${parts.join(", ")})` : "";
}
function doing(frame, now) {
  const alive = plural(frame.workers.alive, "worker");
  const slow = frame.longest && now - frame.longest.since >= SLOW ? frame.longest : null;
  return slow ? `${alive}; task ${count(slow.task)} has been running for ${duration(now - slow.since)}` : alive;
}
function afterwards(frame, link) {
  if (!frame.counts.total) return "There was nothing to do: --map gave no items";
  if (!frame.out) return "";
  if (link.from === "kernel") return `Results are in ${frame.out}`;
  return `Results are in ${frame.out} in the kernel that ran this cell; in another one, ${frame.attach} brings them back`;
}
function failureLines(frame) {
  const groups = frame.failures?.groups ?? [];
  const lines = groups.map((group) => {
    const said = [group.type, group.message].filter(Boolean).join(": ") || group.kind;
    const places = [
      group.line === null ? "" : `line ${group.line}`,
      group.messages > 1 ? `${count(group.messages)} different messages` : "",
      `first: task ${count(group.first)}`
    ];
    const word = group.kind === "not run" ? "not run" : group.kind === "raised" ? "failed" : `failed (${group.kind})`;
    return {
      id: group.id,
      opens: group.kind !== "not run",
      count: group.count,
      number: `${count(group.count)} ${word}`,
      message: said,
      where: places.filter(Boolean).join(" · ")
    };
  });
  const unread = frame.failures?.unread;
  return unread ? [...lines, { id: "unread", opens: false, count: 0, number: "Unread", message: unread, where: "" }] : lines;
}
var LETTERS = {
  p: "pending",
  r: "running",
  c: "done",
  f: "failed"
};
var MOST = 1e4;
function cellsOf(strip, total) {
  const step = Math.max(1, Math.ceil(total / strip.size / MOST)) * strip.size;
  const mixes = Array.from({ length: Math.ceil(total / step) }, () => ({ done: 0, running: 0, pending: 0, failed: 0 }));
  let start = 0;
  for (const [, letter = "p", number] of strip.cells.matchAll(/([a-z])(\d*)/g)) {
    const stop = Math.min(total, start + (number ? Number(number) : 1) * strip.size);
    while (start < stop) {
      const upto = Math.min(stop, (Math.floor(start / step) + 1) * step);
      tally(mixes[Math.floor(start / step)], letter, upto - start);
      start = upto;
    }
  }
  return mixes.map((mix, at) => ({ start: at * step, stop: Math.min(total, (at + 1) * step), ...mix }));
}
function moreOf(frame) {
  const part = frame.failures;
  return part?.more ? `and ${plural(part.more, "more kind")} of failure (${plural(part.more_tasks, "task")})` : "";
}
function tally(mix, letter, tasks) {
  if (!mix) return;
  if (letter === "h") {
    mix.done += Math.ceil(tasks / 2);
    mix.pending += Math.floor(tasks / 2);
  } else mix[LETTERS[letter] ?? "pending"] += tasks;
}
function workerRows(frame, now) {
  const { workers } = frame;
  const rows = [
    ...frame.ended === null ? [["Alive", count(workers.alive)]] : [],
    // later, the frame counts none
    ["Wanted", count(workers.wanted)],
    ["Started so far", count(workers.started)]
  ];
  for (const each of workers.coming) rows.push([sentence(each.phase), `${count(each.count)} for ${age(now - each.since)}`]);
  if (workers.lost) rows.push(["Lost", workers.lost]);
  if (workers.refused) rows.push(["Refused", workers.refused]);
  if (frame.longest) {
    rows.push(["Longest task", `task ${count(frame.longest.task)} for ${duration(now - frame.longest.since)} on ${frame.longest.worker}`]);
  }
  return rows;
}
function detailsOf(frame, now) {
  const { money } = frame;
  const until = growsUntil(frame, now);
  const details = [
    { label: "Session", text: `${frame.session}/${frame.job}`, copies: true },
    { label: "In another kernel", text: frame.attach, copies: true },
    { label: "Started", text: clock(frame.created), copies: false }
  ];
  if (frame.ended !== null) details.push({ label: "Ended", text: clock(frame.ended), copies: false });
  else if (frame.deadline) details.push({ label: "Deadline", text: clock(frame.deadline), copies: false });
  if (money.estimate !== null) details.push({ label: "Estimate", text: dollars(money.estimate), copies: false });
  if (money.job !== null) {
    const job = frame.ended === null ? grown(money.job, money.hourly, money.at, until) : money.job;
    details.push({ label: "While this cell ran", text: dollars(job), copies: false });
    const goesOn = money.hourly && !money.kept ? " so far" : "";
    if (frame.ended !== null) details.push({ label: "Whole session", text: `${sessionCost(frame, now)}${goesOn}`, copies: false });
  }
  const fargate = grown(money.fargate, money.fargate_hourly, money.at, until);
  if (money.priced && fargate) details.push({ label: "On Fargate", text: `would be ${dollars(fargate)}`, copies: false });
  details.push({ label: "Launcher", text: frame.launcher, copies: false });
  return details.filter(({ text }) => text);
}
function timeOfDay(at, now) {
  const sameDay = new Date(at * 1e3).toDateString() === new Date(now * 1e3).toDateString();
  return sameDay ? new Date(at * 1e3).toLocaleTimeString([], { timeStyle: "short" }) : clock(at);
}
function clock(at) {
  return new Date(at * 1e3).toLocaleString([], { dateStyle: "short", timeStyle: "short" });
}

// src/rows.ts
var Rows = class {
  node = make("table", "bv-table");
  body = make("tbody");
  constructor(head) {
    const row = make("tr");
    for (const word of head) {
      const cell = make("th", "", word);
      cell.scope = "col";
      row.append(cell);
    }
    const top = make("thead");
    top.append(row);
    this.node.append(top, this.body);
  }
  draw(rows) {
    while (this.body.rows.length > rows.length) this.body.lastElementChild?.remove();
    while (this.body.rows.length < rows.length) this.body.append(make("tr"));
    rows.forEach((texts, at) => {
      const row = this.body.rows[at];
      if (!row) return;
      while (row.cells.length > texts.length) row.lastElementChild?.remove();
      while (row.cells.length < texts.length) row.append(make("td"));
      texts.forEach((text, column) => {
        const cell = row.cells[column];
        if (cell) say(cell, text);
      });
    });
  }
};

// src/sheet.ts
function sheetOf(canvas, height) {
  const width = canvas.clientWidth;
  const pen = canvas.getContext("2d");
  if (!width || !pen) return null;
  const scale = window.devicePixelRatio || 1;
  canvas.style.height = `${height}px`;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  const style = getComputedStyle(canvas);
  return { pen, width, colour: (name) => style.getPropertyValue(`--bv-${name}`).trim() };
}

// src/tasks.ts
var SIDES = [16, 12, 10, 8, 6, 5, 4, 3];
var HEIGHT = 168;
function layout(cells, width) {
  for (const side of SIDES) {
    const columns = Math.max(1, Math.floor(width / side));
    const rows = Math.max(1, Math.ceil(cells / columns));
    if (rows * side <= HEIGHT || side === SIDES.at(-1)) return { side, columns, rows };
  }
  throw new Error("the last side always fits");
}
function describe(cell, idle) {
  const names = [
    [cell.failed, "failed"],
    [cell.running, "running"],
    [cell.done, "done"],
    [cell.pending, idle]
  ];
  const held = names.filter(([number]) => number);
  if (cell.stop - cell.start === 1) return `task ${count(cell.start)}: ${held[0]?.[1] ?? idle}`;
  return `tasks ${count(cell.start)} – ${count(cell.stop - 1)}: ${held.map(([n, word]) => `${count(n)} ${word}`).join(", ")}`;
}
var Tasks = class {
  constructor(body, open) {
    this.open = open;
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "slider");
    this.canvas.setAttribute("aria-label", "Tasks; arrow keys move, Enter shows one");
    this.canvas.addEventListener("keydown", (event) => {
      this.key(event);
    });
    this.canvas.addEventListener("click", (event) => {
      this.pick(event, true);
    });
    this.canvas.addEventListener("mousemove", (event) => {
      this.pick(event, false);
    });
    this.listed.append(make("summary", "", "As a table"), this.table.node);
    this.listed.addEventListener("toggle", () => {
      this.list();
    });
    body.append(this.canvas, this.said, this.listed);
    this.sized = new ResizeObserver(() => {
      this.paint();
    });
    this.sized.observe(this.canvas);
  }
  open;
  canvas = make("canvas", "bv-canvas");
  said = make("p", "bv-said");
  listed = make("details", "bv-listed");
  table = new Rows(["Tasks", "State"]);
  sized;
  cells = [];
  idle = "pending";
  at = 0;
  stop() {
    this.sized.disconnect();
  }
  draw(cells, idle) {
    this.cells = cells;
    this.idle = idle;
    this.at = Math.min(this.at, Math.max(0, cells.length - 1));
    this.paint();
    this.list();
    this.say();
  }
  /** Also when the canvas comes back onto the screen, or the theme changes. */
  paint() {
    const { side, columns, rows } = layout(this.cells.length, this.canvas.clientWidth);
    const sheet = sheetOf(this.canvas, rows * side);
    if (!sheet) return;
    const { pen, colour } = sheet;
    const [done, running, pending, failed, ink] = ["done", "running", "edge", "failed", "ink"].map(colour);
    const box = side - 1;
    this.cells.forEach((cell, index) => {
      const x = index % columns * side;
      const y = Math.floor(index / columns) * side;
      const size = cell.stop - cell.start;
      const high = (number) => Math.round(box * number / size);
      const top = cell.failed ? Math.max(high(cell.failed), Math.ceil(box / 3)) : 0;
      const room = box - top;
      const rest = Math.max(1, size - cell.failed);
      const doneHigh = Math.round(room * cell.done / rest);
      const runHigh = Math.round(room * cell.running / rest);
      pen.lineWidth = 1;
      pen.strokeStyle = pending;
      pen.strokeRect(x + 0.5, y + 0.5, box - 1, box - 1);
      if (doneHigh) fill(pen, done, x, y + box - doneHigh, box, doneHigh);
      if (runHigh) hatch(pen, running, x, y + box - doneHigh - runHigh, box, runHigh);
      if (top) fill(pen, failed, x, y, box, top);
      if (top && side >= 8) cross(pen, colour("paper"), x, y, box, top);
    });
    if (this.cells.length && document.activeElement === this.canvas) {
      pen.lineWidth = 2;
      pen.strokeStyle = ink;
      pen.strokeRect(this.at % columns * side, Math.floor(this.at / columns) * side, side - 1, side - 1);
    }
  }
  key(event) {
    const { columns } = layout(this.cells.length, this.canvas.clientWidth);
    const steps = {
      ArrowLeft: -1,
      ArrowRight: 1,
      ArrowUp: -columns,
      ArrowDown: columns,
      Home: -this.cells.length,
      End: this.cells.length
    };
    const step = steps[event.key];
    const cell = this.cells[this.at];
    if (event.key === "Enter" && cell) this.open(cell);
    else if (step === void 0) return;
    else this.at = Math.max(0, Math.min(this.cells.length - 1, this.at + step));
    event.preventDefault();
    event.stopPropagation();
    this.say();
    this.paint();
  }
  pick(event, open) {
    const { side, columns } = layout(this.cells.length, this.canvas.clientWidth);
    const column = Math.floor(event.offsetX / side);
    const index = Math.floor(event.offsetY / side) * columns + column;
    const cell = this.cells[index];
    if (!cell || column >= columns) return;
    if (!open) {
      this.canvas.title = describe(cell, this.idle);
      return;
    }
    this.at = index;
    this.say();
    this.paint();
    this.open(cell);
  }
  say() {
    const cell = this.cells[this.at];
    const words = cell ? describe(cell, this.idle) : "no tasks";
    say(this.said, words);
    this.canvas.setAttribute("aria-valuemin", "0");
    this.canvas.setAttribute("aria-valuemax", String(Math.max(0, this.cells.length - 1)));
    this.canvas.setAttribute("aria-valuenow", String(this.at));
    this.canvas.setAttribute("aria-valuetext", words);
  }
  /** Neighbours of one kind in one row: a table of 10 000 rows would help nobody. Only while somebody reads it. */
  list() {
    if (!this.listed.open) return;
    const rows = [];
    for (const cell of this.cells) {
      const one = cell.stop - cell.start === 1 || [cell.done, cell.running, cell.pending, cell.failed].filter(Boolean).length === 1;
      const word = one ? cell.failed ? "failed" : cell.running ? "running" : cell.done ? "done" : this.idle : describe(cell, this.idle).split(": ")[1] ?? "";
      const last = rows.at(-1);
      if (last && one && last[2] === word && last[1] === cell.start) last[1] = cell.stop;
      else rows.push([cell.start, cell.stop, word]);
    }
    this.table.draw(rows.map(([start, stop, word]) => [stop - start === 1 ? count(start) : `${count(start)} – ${count(stop - 1)}`, word]));
  }
};
function fill(pen, colour, x, y, width, height) {
  pen.fillStyle = colour;
  pen.fillRect(x, y, width, height);
}
function hatch(pen, colour, x, y, width, height) {
  pen.fillStyle = colour;
  for (let line = 0; line < height; line += 3) pen.fillRect(x, y + line, width, Math.min(2, height - line));
}
function cross(pen, colour, x, y, width, height) {
  pen.lineWidth = 1.5;
  pen.strokeStyle = colour;
  pen.beginPath();
  pen.moveTo(x + 2, y + 2);
  pen.lineTo(x + width - 2, y + height - 2);
  pen.moveTo(x + width - 2, y + 2);
  pen.lineTo(x + 2, y + height - 2);
  pen.stroke();
}

// src/voice.ts
var Voice = class {
  node = make("div", "bv-voice");
  said = "";
  constructor() {
    this.node.setAttribute("role", "status");
    this.node.setAttribute("aria-live", "polite");
  }
  /** Announces `words` if the state or the tenth differs from that of the last announcement. */
  hear(state, done, total, words) {
    const key = `${state} ${Math.floor(10 * done / Math.max(1, total))}`;
    if (key === this.said) return;
    this.said = key;
    this.node.textContent = words;
  }
};

// src/timeline.ts
var FULL = 10;
function bitsOf(lane, page) {
  const told = lane.bars.map(({ task, began, wall, failed }) => ({ from: Math.max(began, page.start), to: Math.min(began + wall, page.stop), share: 1, failed, running: false, task }));
  const now = lane.since === null ? [] : [{ from: Math.max(lane.since, page.start), to: page.stop, share: 1, failed: false, running: true, task: lane.running }];
  return [...told, ...intervals(lane.cells, page), ...now].filter((bit) => bit.to >= bit.from);
}
function intervals(cells, page) {
  const width = (page.stop - page.start) / page.bins;
  const bits = [];
  let at = 0;
  for (const [, letter = "a", number] of cells.matchAll(/([a-k])(\d*)/gi)) {
    const until = Math.min(page.bins, at + (number ? Number(number) : 1));
    const share = (letter.toLowerCase().charCodeAt(0) - "a".charCodeAt(0)) / FULL;
    const failed = letter !== letter.toLowerCase();
    if (share || failed) bits.push({ from: page.start + at * width, to: page.start + until * width, share, failed, running: false, task: null });
    at = until;
  }
  return bits;
}
function lastBefore(bits, time) {
  return bits.reduce((found, bit, at) => bit.from <= time ? at : found, -1);
}
function described(lane, bit) {
  const when = new Date(bit.from * 1e3).toLocaleTimeString([], { timeStyle: "medium" });
  const long = duration(bit.to - bit.from);
  const how = bit.failed ? ", failed" : bit.running ? ", running" : "";
  if (bit.task !== null) return `${lane.name}: task ${count(bit.task)}, ${long} from ${when}${how}`;
  return `${lane.name}: ${Math.round(bit.share * 100)} % busy for ${long} from ${when}${bit.failed ? ", with failures" : ""}`;
}
function summary(page) {
  const parts = [`${plural(page.tasks, "task")} in ${duration(page.stop - page.start)}`];
  if (page.left_out) parts.push(`${count(page.left_out)} more are not shown: reused, or too many to read`);
  if (page.more) parts.push(`and ${plural(page.more, "lane")} more`);
  return parts.join("; ");
}
function tableOf(page) {
  const span = page.stop - page.start;
  return page.lanes.map((lane) => {
    const busy = lane.busy + (lane.since === null ? 0 : Math.max(0, page.stop - lane.since));
    return [lane.name, count(lane.tasks), count(lane.failed), duration(busy), percent(Math.min(busy, span), span)];
  });
}

// src/lanes.ts
var HEIGHTS = [18, 12, 8, 5, 3];
var HEIGHT2 = 216;
var Lanes = class {
  constructor(host) {
    this.host = host;
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "slider");
    this.canvas.setAttribute("aria-label", "Timeline; left and right move in time, up and down between workers");
    this.canvas.setAttribute("aria-valuemin", "0");
    this.canvas.addEventListener("keydown", (event) => {
      this.key(event);
    });
    this.canvas.addEventListener("click", (event) => {
      this.pick(event);
    });
    const drawn = make("div", "bv-lanes-drawn");
    drawn.hidden = true;
    drawn.append(this.canvas, this.said, this.table.node);
    this.node.append(make("summary", "", "Timeline"), this.total, this.again, this.trouble, drawn);
    this.again.hidden = true;
    this.node.addEventListener("toggle", () => {
      if (this.node.open) void this.read();
    });
    this.sized = new ResizeObserver(() => {
      this.paint();
    });
    this.sized.observe(this.canvas);
  }
  host;
  node = make("details", "bv-listed bv-lanes");
  canvas = make("canvas", "bv-canvas");
  said = make("p", "bv-said");
  total = make("p", "bv-quiet");
  trouble = make("p", "bv-trouble");
  table = new Rows(["Worker", "Tasks", "Failed", "Busy", "Of the time"]);
  again = button("bv-small", "Read again", () => void this.read());
  sized;
  page = null;
  bits = [];
  lane = 0;
  at = 0;
  stop() {
    this.sized.disconnect();
  }
  async read() {
    say(this.total, this.page ? this.total.textContent : "Reading…");
    const answer = await this.host.ask("timeline");
    say(this.trouble, answer.problem === void 0 ? "" : inWords(answer));
    this.again.hidden = false;
    if (answer.problem !== void 0) {
      if (!this.page) say(this.total, "");
      return;
    }
    this.page = answer.ok;
    this.bits = answer.ok.lanes.map((lane) => bitsOf(lane, answer.ok));
    say(this.total, summary(answer.ok));
    this.table.draw(tableOf(answer.ok));
    const drawn = this.node.querySelector(".bv-lanes-drawn");
    if (drawn) drawn.hidden = !answer.ok.lanes.length;
    this.move(this.lane, this.at);
  }
  get height() {
    return HEIGHTS.find((high) => high * this.bits.length <= HEIGHT2) ?? HEIGHTS.at(-1) ?? 3;
  }
  /** Also when the canvas comes back onto the screen, or the theme changes. */
  paint() {
    const { height } = this;
    const sheet = this.page && sheetOf(this.canvas, this.bits.length * height);
    if (!this.page || !sheet) return;
    const { start, stop } = this.page;
    const { pen, width, colour } = sheet;
    const [done, failed, ink, line] = [colour("done"), colour("failed"), colour("ink"), colour("line")];
    this.bits.forEach((bits, lane) => {
      const top = lane * height;
      pen.fillStyle = line;
      pen.fillRect(0, top + height - 1, width, 1);
      bits.forEach((bit, at) => {
        const left = (bit.from - start) / (stop - start) * width;
        const right = (bit.to - start) / (stop - start) * width;
        const wide = Math.max(1, right - left - (right - left > 3 ? 1 : 0));
        const high = Math.max(1, Math.round((height - 2) * bit.share));
        pen.fillStyle = bit.failed ? failed : done;
        if (bit.running) for (let x = 0; x < wide; x += 4) pen.fillRect(left + x, top + height - 2 - high, Math.min(2, wide - x), high);
        else pen.fillRect(left, top + height - 2 - high, wide, high);
        if (bit.failed && height > 5) {
          pen.fillStyle = ink;
          pen.fillRect(left, top, wide, 2);
        }
        if (lane === this.lane && at === this.at) {
          pen.strokeStyle = ink;
          pen.lineWidth = 2;
          pen.strokeRect(left, top + 1, Math.max(3, wide), height - 2);
        }
      });
    });
  }
  key(event) {
    const steps = {
      ArrowLeft: [0, -1],
      ArrowRight: [0, 1],
      ArrowUp: [-1, 0],
      ArrowDown: [1, 0],
      Home: [0, -Infinity],
      End: [0, Infinity]
    };
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const [down, right] = step;
    if (!down) {
      this.move(this.lane, this.at + right);
      return;
    }
    const now = this.bits[this.lane]?.[this.at]?.from ?? 0;
    const next = Math.max(0, Math.min(this.bits.length - 1, this.lane + down));
    this.move(next, lastBefore(this.bits[next] ?? [], now));
  }
  pick(event) {
    if (!this.page) return;
    const { start, stop } = this.page;
    const lane = Math.floor(event.offsetY / this.height);
    const time = start + event.offsetX / this.canvas.clientWidth * (stop - start);
    const at = lastBefore(this.bits[lane] ?? [], time);
    if (at >= 0) this.move(lane, at);
  }
  move(lane, at) {
    this.lane = Math.max(0, Math.min(this.bits.length - 1, lane));
    const bits = this.bits[this.lane] ?? [];
    this.at = Math.max(0, Math.min(bits.length - 1, at));
    const held = this.page?.lanes[this.lane];
    const bit = bits[this.at];
    const words = held && bit ? described(held, bit) : "nothing ran yet";
    say(this.said, words);
    this.canvas.setAttribute("aria-valuemax", String(Math.max(0, bits.length - 1)));
    this.canvas.setAttribute("aria-valuenow", String(this.at));
    this.canvas.setAttribute("aria-valuetext", words);
    this.paint();
  }
};

// src/workers.ts
var AGAIN = 5e3;
function isDue(last, over, at) {
  if (last.at === 0) return true;
  return over ? !last.over : at - last.at > AGAIN;
}
var Workers = class {
  constructor(body, host) {
    this.host = host;
    this.lanes = new Lanes(host);
    body.append(this.summary, this.table.node, this.trouble, this.lanes.node);
  }
  host;
  summary = make("p", "bv-quiet");
  table = new Rows(["Worker", "Now", "Memory", "Since"]);
  trouble = make("p", "bv-trouble");
  lanes;
  last = { at: 0, over: false };
  /** Also when the canvas comes back onto the screen, or the theme changes. */
  paint() {
    this.lanes.paint();
  }
  stop() {
    this.lanes.stop();
  }
  /** Draws the numbers, and asks for the list if that is due. `now`: seconds since the epoch by the store's clock. */
  draw(facts, over, now) {
    say(this.summary, facts.map(([label, text]) => `${label}: ${text}`).join(" · "));
    const at = Date.now();
    if (!isDue(this.last, over, at)) return;
    this.last = { at, over };
    void this.read(now);
  }
  async read(now) {
    const answer = await this.host.ask("workers");
    say(this.trouble, answer.problem === void 0 ? "" : inWords(answer));
    if (answer.problem !== void 0) return;
    const rows = answer.ok.workers.map((worker) => [worker.name, doing2(worker, now), memory(worker), age(now - worker.started)]);
    this.table.draw(answer.ok.more ? [...rows, [`and ${count(answer.ok.more)} more`]] : rows);
  }
};
function doing2(worker, now) {
  if (worker.ended) return `ended: ${worker.ended}`;
  if (worker.stage) return worker.stage;
  const busy = worker.slots.flatMap(
    ({ task, since }) => task === null ? [] : [`task ${count(task)}${since === null ? "" : ` for ${duration(now - since)}`}`]
  );
  return busy.join(", ") || (worker.slots.length ? `idle, ${plural(worker.slots.length, "slot")}` : "idle");
}
function memory(worker) {
  const used = worker.slots.reduce((sum, slot) => sum + slot.memory_mb, 0);
  return used ? `${count(Math.round(used))} MiB` : "";
}

// src/view.ts
var EXACT = 1e4;
var AGAIN2 = 5e3;
var NOTICE = 2e4;
var TICK = 1e3;
function mount(host, el) {
  const view = new View(host);
  el.append(view.node);
  view.start();
  return () => {
    view.stop();
  };
}
var View = class {
  constructor(host) {
    this.host = host;
    const tell = (words) => {
      this.notice = { words, until: Date.now() + NOTICE };
      this.draw();
    };
    this.failures = new Failures(host);
    this.cancel = new Action("Cancel", () => "Stop all tasks?", () => host.ask("cancel"), tell);
    this.actions = new Actions(host, tell);
    this.actions.node.id = fresh("actions");
    this.actions.node.hidden = true;
    this.more = button("bv-button bv-dots", "⋯", () => {
      this.actions.node.hidden = !this.actions.node.hidden;
      this.more.setAttribute("aria-expanded", String(!this.actions.node.hidden));
    });
    this.more.setAttribute("aria-label", "More actions");
    this.more.setAttribute("aria-expanded", "false");
    this.more.setAttribute("aria-controls", this.actions.node.id);
    this.rest.id = fresh("rest");
    this.unfold = button("bv-button", "Details", () => {
      this.unfold.setAttribute("aria-expanded", String(this.unfold.getAttribute("aria-expanded") !== "true"));
      this.draw();
    });
    this.unfold.setAttribute("aria-expanded", "false");
    this.unfold.setAttribute("aria-controls", this.rest.id);
    const redraw = () => {
      this.draw();
    };
    this.parts = {
      tasks: this.folds.add("Tasks", redraw),
      workers: this.folds.add("Workers", redraw),
      output: this.folds.add("Output", redraw),
      details: this.folds.add("Details", redraw)
    };
    this.tasks = new Tasks(this.parts.tasks.body, (cell) => void this.pick(cell));
    this.parts.tasks.body.append(this.picked);
    this.output = new Output(this.parts.output.body);
    this.workers = new Workers(this.parts.workers.body, host);
    this.parts.details.body.append(this.details.node);
    this.lay();
  }
  host;
  node = make("section", "burst-view");
  state = make("strong", "bv-state");
  title = make("span", "bv-title");
  percent = make("span", "bv-percent");
  time = make("span", "bv-time");
  money = make("span", "bv-money");
  kept = make("span", "bv-kept");
  bar = new Bar();
  counts = make("p", "bv-counts");
  note = make("p", "bv-note");
  failures;
  folds = new Folds();
  voice = new Voice();
  rest = make("div", "bv-rest");
  cancel;
  actions;
  more;
  unfold;
  // after success there is one line, and the rest behind this
  tasks;
  output;
  picked = make("div", "bv-task");
  workers;
  details = new Facts();
  parts;
  notice = { words: "", until: 0 };
  heard = "";
  // the host's last notice
  exact = null;
  // states of single tasks, when they were asked for, and at which counts
  drawnFor = "";
  asked = 0;
  now = null;
  timer;
  off;
  themed = new MutationObserver(() => {
    this.paint();
  });
  seen = new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) this.paint();
  });
  start() {
    this.off = this.host.on(() => {
      this.draw();
    });
    this.timer = setInterval(() => {
      if (this.now && (!this.now.over || this.now.kept)) this.draw();
    }, TICK);
    this.themed.observe(document.body, { attributes: true, attributeFilter: ["class", "data-jp-theme-light"] });
    this.seen.observe(this.node);
    this.draw();
  }
  stop() {
    this.off?.();
    clearInterval(this.timer);
    this.cancel.stop();
    this.actions.stop();
    this.tasks.stop();
    this.workers.stop();
    this.themed.disconnect();
    this.seen.disconnect();
    this.node.remove();
  }
  paint() {
    this.tasks.paint();
    this.workers.paint();
  }
  lay() {
    const head = make("div", "bv-head");
    const mark = make("span", "bv-mark");
    mark.setAttribute("aria-hidden", "true");
    const what = make("span", "bv-what");
    what.append(mark, this.state, this.title);
    const controls = make("span", "bv-controls");
    controls.append(this.cancel.node, this.more, this.unfold);
    head.append(what, this.percent, this.time, this.money, this.kept, controls);
    this.node.setAttribute("aria-label", "burst");
    this.rest.append(this.bar.node, this.counts, this.note, this.failures.node, this.folds.node);
    this.node.append(head, this.actions.node, this.rest, this.voice.node);
  }
  draw() {
    const frame = this.host.frame();
    if (!frame) {
      this.node.dataset["phase"] = "waiting";
      say(this.state, "Connecting");
      for (const node of [this.cancel.node, this.more, this.unfold]) node.hidden = true;
      say(this.note, this.host.link().problem);
      return;
    }
    const now = shown(frame, this.host.link(), Date.now() / 1e3);
    this.now = now;
    this.node.dataset["phase"] = now.phase;
    this.node.dataset["link"] = now.link;
    this.node.setAttribute("aria-label", `burst ${now.title}`);
    say(this.state, now.state);
    say(this.title, now.title);
    this.title.title = now.title;
    say(this.percent, now.percent);
    say(this.time, now.time);
    say(this.money, now.money);
    say(this.kept, now.kept);
    this.cancel.allow(now.over ? null : this.host.can("cancel"));
    this.actions.draw();
    this.more.hidden = !this.actions.any;
    this.actions.node.hidden ||= this.more.hidden;
    this.unfold.hidden = !now.plain;
    this.bar.draw(now.segments, now.done, now.total, now.spoken);
    say(this.counts, now.counts);
    const notice = this.news();
    const folded = now.plain && this.unfold.getAttribute("aria-expanded") !== "true";
    this.rest.hidden = folded && !notice;
    this.rest.toggleAttribute("data-folded", folded);
    say(this.note, notice || now.note);
    this.note.dataset["kind"] = notice ? "notice" : now.noteKind;
    this.failures.draw(now.failures, now.moreFailures);
    this.open(now);
    this.voice.hear(now.state, now.done, now.total, now.spoken);
  }
  /** What became of the reader's last request, for a while: then facts take the line again. */
  news() {
    const said = this.host.notice();
    if (said !== this.heard) this.notice = { words: said, until: Date.now() + NOTICE };
    this.heard = said;
    return Date.now() < this.notice.until ? this.notice.words : "";
  }
  /** Draws the sections that are open; their titles always. */
  open(now) {
    const { tasks, workers, output, details } = this.parts;
    workers.title(now.workersTitle);
    if (tasks.isOpen) void this.drawTasks(now);
    if (workers.isOpen) this.workers.draw(now.workers, now.over, now.at);
    if (output.isOpen) this.output.draw(now.output);
    if (details.isOpen) this.details.draw(now.details);
  }
  /** The exact states, where the frame has them only by groups of tasks and they still fit. */
  async drawTasks(now) {
    const coarse = now.cells.length < now.total && now.total <= EXACT;
    this.tasks.draw(coarse ? this.exact ?? now.cells : now.cells, now.idle);
    const due = this.drawnFor !== now.spoken && (now.over || Date.now() - this.asked > AGAIN2);
    if (!coarse || !due) return;
    this.asked = Date.now();
    this.drawnFor = now.spoken;
    const answer = await this.host.ask("states", { start: 0 });
    if (answer.problem !== void 0) return;
    this.exact = cellsOf(answer.ok.tasks, now.total);
    this.tasks.draw(this.exact, now.idle);
  }
  async pick(cell) {
    if (!(cell.failed || cell.done) || cell.stop - cell.start > 1) {
      this.picked.replaceChildren();
      return;
    }
    const task = cell.start;
    this.picked.replaceChildren(make("p", "bv-quiet", "Reading…"));
    this.picked.replaceChildren(await taskDetails(this.host, task));
  }
};

// src/widget.ts
var CUT = "comm_live_update";
var TRAITS = ["frame", "failures", "output", "host"];
var ModelHost = class {
  constructor(model) {
    this.model = model;
    this.read();
    model.on("change:frame", this.arrived);
    for (const name of TRAITS) model.on(`change:${name}`, this.changed);
    model.on("msg:custom", this.answered);
    model.on(CUT, this.cut);
  }
  model;
  listeners = /* @__PURE__ */ new Set();
  waiting = /* @__PURE__ */ new Map();
  asked = 0;
  seen = null;
  ahead = 0;
  lost = false;
  // its kernel has ended or was restarted: nothing will change here, and nothing can be asked
  parsed = null;
  state = null;
  stop() {
    for (const name of TRAITS) this.model.off(`change:${name}`, this.changed);
    this.model.off("change:frame", this.arrived);
    this.model.off("msg:custom", this.answered);
    this.model.off(CUT, this.cut);
  }
  frame() {
    return this.parsed;
  }
  link() {
    const newer = this.parsed !== null && this.parsed.version > VERSION;
    const problem = newer ? `written by a newer burst_magic (${MIME} ${this.parsed?.version ?? 0}): upgrade` : "";
    return { from: this.lost ? "saved" : "kernel", seen: this.seen, problem, ahead: this.ahead };
  }
  on(listener) {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  }
  ask(kind, fields = {}) {
    this.asked += 1;
    const id = this.asked;
    return new Promise((resolve) => {
      this.waiting.set(id, resolve);
      this.model.send({ ...fields, kind, id });
    });
  }
  /** A view that is born after the end (a reload, a browser that was closed) asks for the static output again. */
  announce() {
    if (typeof this.parsed?.ended === "number") this.model.send({ kind: "shown" });
  }
  can(action) {
    if (action === "collect") return null;
    if (this.lost) return `the kernel that showed this has ended; ${this.parsed?.attach ?? "%burst_attach"} in the new one goes on`;
    return this.state?.actions.find((each) => each.action === action)?.off ?? null;
  }
  notice() {
    return this.state?.notice ?? "";
  }
  changed = () => {
    this.read();
    for (const listener of this.listeners) listener();
  };
  cut = () => {
    this.lost = true;
    for (const listener of this.listeners) listener();
  };
  arrived = () => {
    this.lost = false;
    this.seen = Date.now();
    const frame = parse(this.model.get("frame"));
    if (frame?.ended === null) this.ahead = frame.at - this.seen / 1e3;
  };
  answered = (content) => {
    const resolve = content.id === void 0 ? void 0 : this.waiting.get(content.id);
    if (!resolve || content.id === void 0) return;
    this.waiting.delete(content.id);
    resolve(content);
  };
  read() {
    const frame = parse(this.model.get("frame"));
    const failures = parse(this.model.get("failures"));
    const output = parse(this.model.get("output"));
    this.state = parse(this.model.get("host"));
    this.parsed = frame && { ...frame, ...failures ? { failures } : {}, ...output ? { output } : {} };
  }
};
function parse(text) {
  return typeof text === "string" && text ? JSON.parse(text) : null;
}
function render({ model, el }) {
  const host = new ModelHost(model);
  const unmount = mount(host, el);
  host.announce();
  return () => {
    unmount();
    host.stop();
  };
}
var widget_default = { render };
export {
  widget_default as default
};
