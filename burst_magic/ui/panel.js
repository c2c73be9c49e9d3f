// The live panel. Draws what the traits say (docs/panel.md) and keeps nothing of its own, so that a reload shows the
// same; only times and money are counted here. All foreign text goes through textContent.
const THIN = "\u202f";
const BAR = ["completed", "running", "pending", "failed"];
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

function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const two = (n) => String(n).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

const dollars = (micros) => `$${(micros / 1e6).toFixed(micros && micros < 1e5 ? 4 : 2)}`;

function money({ money }, now) {
  if (!money.priced) return "the price of its workers is not known";
  if (money.free) return "";
  const spent = dollars(money.spent + (money.hourly * Math.max(0, now - money.at)) / 3600);
  return money.budget === null ? spent : `${spent} / ${dollars(money.budget)}`;
}

function failure(group) {
  if (group.kind === "not run") return `not run: ${group.message}; first: task ${count(group.first)}`;
  const said = [group.type, group.message].filter(Boolean).join(": ") || group.kind;
  const line = group.line === null ? "" : ` at line ${group.line}`;
  const more = group.messages > 1 ? `, ${count(group.messages)} different messages` : "";
  return `${said}${line}${more}${group.count > 1 ? `; first: task ${count(group.first)}` : ""}`;
}

// Asks twice; says so when the kernel is too busy to hear.
function cancelButton(model) {
  const button = make("button", "", "Cancel");
  button.type = "button";
  let timer;
  const rest = () => {
    clearTimeout(timer);
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
    model.send({ kind: "cancel", id: 0 });
    timer = setTimeout(() => (button.textContent = "Waiting for the kernel to be free…"), 3000);
  });
  return { button, rest, stop: () => clearTimeout(timer) };
}

function render({ model, el }) {
  const root = make("section", "burst");
  const head = make("header");
  const [state, title, time] = ["burst-state", "burst-title", "burst-time"].map((name) => make("span", name));
  const cancel = cancelButton(model);
  head.append(state, title, time, cancel.button);
  const bar = make("div", "burst-bar");
  bar.setAttribute("role", "progressbar");
  const parts = Object.fromEntries(BAR.map((name) => [name, make("i", `burst-key burst-${name}`)]));
  bar.append(...Object.values(parts));
  const legend = make("div", "burst-legend");
  const waiting = make("p", "burst-waiting");
  const notice = make("p", "burst-notice");
  const facts = make("dl", "burst-facts");
  const errors = make("table", "burst-errors");
  const tail = make("details", "burst-tail");
  tail.open = true;
  const lines = make("table");
  tail.append(make("summary", "", "output"), lines);
  root.append(head, bar, legend, waiting, notice, facts, errors, tail);
  el.append(root);

  const read = (name) => JSON.parse(model.get(name) || "null");
  let shown = null;
  let ahead = 0; // seconds that the store's clock is ahead of this one's
  const now = () => Date.now() / 1000 + ahead;

  function tick() {
    if (!shown) return;
    const left = shown.forecast === null ? "" : `≈ ${duration(shown.forecast - now())} left`;
    const took = duration((shown.ended ?? now()) - shown.created);
    time.textContent = [shown.progress, left, took, money(shown, now())].filter(Boolean).join(" · ");
    const wait = shown.waiting;
    const since = wait?.since ? ` for ${duration(now() - wait.since)}` : "";
    const coming = shown.workers.coming.map((c) => `${c.count} ${c.phase} for ${duration(now() - c.since)}`).join(", ");
    const why = shown.stale ? `as of ${duration(now() - shown.stale.since)} ago: the store does not answer` : "";
    const words = wait ? [`${wait.words}${since}`, coming, wait.way_out].filter(Boolean).join("; ") : "";
    waiting.textContent = why || words;
    waiting.hidden = !waiting.textContent;
    const { alive, started, wanted, lost, refused } = shown.workers;
    const fleet = [`${alive} alive, ${started} started, ${wanted} wanted`, wait ? "" : coming, refused, lost];
    const longest = shown.longest;
    const pairs = {
      workers: shown.ended === null ? fleet.filter(Boolean).join("; ") : "",
      longest: longest && `task ${count(longest.task)} for ${duration(now() - longest.since)} on ${longest.worker}`,
      reattach: shown.ended === null ? shown.attach : "",
    };
    facts.replaceChildren(
      ...Object.entries(pairs).filter(([, fact]) => fact).flatMap(([label, fact]) => [make("dt", "", label), make("dd", "", fact)]),
    );
  }

  function draw(arrived) {
    shown = read("frame");
    if (!shown) return;
    if (arrived) ahead = shown.at - Date.now() / 1000;
    const counts = shown.counts;
    root.className = `burst burst-is-${shown.phase}`;
    state.textContent = shown.state;
    title.textContent = shown.title;
    const rest = shown.ended === null ? { running: counts.running, pending: counts.pending } : { "not run": counts.not_run };
    const told = { completed: counts.completed, failed: counts.failed, ...rest, ...(counts.reused && { reused: counts.reused }) };
    const colours = { "not run": "pending" };
    legend.replaceChildren(
      ...Object.entries(told).map(([word, n]) => {
        const item = make("span", n ? "burst-count" : "burst-count burst-none");
        item.append(make("i", `burst-key burst-${colours[word] ?? word}`), make("b", "", count(n)), ` ${word}`);
        return item;
      }),
    );
    const widths = { ...counts, pending: counts.pending + counts.not_run };
    for (const name of BAR) parts[name].style.flexGrow = widths[name];
    for (const name of BAR) parts[name].style.minWidth = widths[name] ? "6px" : "0";
    bar.setAttribute("aria-label", `${shown.progress} of ${counts.total} tasks done, ${counts.failed} failed`);
    tick();
  }

  function drawFailures() {
    const { groups = [], more = 0, unread = "" } = read("failures") ?? {};
    errors.replaceChildren(...groups.map((group) => row(`${count(group.count)} ×`, failure(group))));
    if (more) errors.append(row("", `and ${more} more kinds of failure`));
    if (unread) errors.append(row("", `failures cannot be read: ${unread}`));
    errors.hidden = !errors.children.length;
  }

  function drawOutput() {
    const found = (read("output") ?? { lines: [] }).lines;
    lines.replaceChildren(...found.map((line) => row(count(line.task), line.text)));
    tail.hidden = !found.length;
  }

  function drawHost() {
    const host = read("host") ?? { actions: [], notice: "" };
    const off = host.actions.find((each) => each.action === "cancel")?.off;
    cancel.button.hidden = Boolean(off);
    if (host.notice) cancel.rest();
    notice.textContent = host.notice;
    notice.hidden = !host.notice;
  }

  const drawing = { frame: () => draw(true), failures: drawFailures, output: drawOutput, host: drawHost };
  for (const [name, f] of Object.entries(drawing)) model.on(`change:${name}`, f);
  draw(false);
  drawFailures();
  drawOutput();
  drawHost();
  const clock = setInterval(tick, 1000);
  // A view that is born after the end (a reload, a browser that was closed) asks for the static picture again.
  if (shown?.ended !== null) model.send({ kind: "shown" });
  return () => {
    cancel.stop();
    clearInterval(clock);
    for (const [name, f] of Object.entries(drawing)) model.off(`change:${name}`, f);
  };
}

export default { render };
