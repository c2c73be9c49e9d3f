// The view of one job: the same in anywidget and in the lab extension. It draws what `shown()` says of the newest frame
// and keeps nothing of its own but what the reader has opened, so that a reload shows the same.
//
// Places are fixed while a job runs: every line has its room from the start, whether or not there is something to say.

import { Action, Actions } from "./actions.js";
import { Bar } from "./bar.js";
import { button, fresh, make, say } from "./dom.js";
import { Facts } from "./facts.js";
import { Failures } from "./failures.js";
import { Folds } from "./folds.js";
import type { StatesPage } from "./frame.js";
import type { Answer, Host } from "./host.js";
import { Output } from "./output.js";
import { cellsOf, shown, type Cell, type Shown } from "./shown.js";
import { taskDetails } from "./task.js";
import { Tasks } from "./tasks.js";
import { Voice } from "./voice.js";
import { Workers } from "./workers.js";

const EXACT = 10_000; // tasks whose states are asked for one by one
const AGAIN = 5000; // milliseconds between two such requests
const NOTICE = 20_000; // milliseconds that the outcome of a request stands
const TICK = 1000; // milliseconds between two looks at the clock; frames are drawn at once

/** Shows a host's job inside `el`; the returned function removes it. */
export function mount(host: Host, el: HTMLElement): () => void {
  const view = new View(host);
  el.append(view.node);
  view.start();
  return () => {
    view.stop();
  };
}

class View {
  readonly node = make("section", "burst-view");
  private readonly state = make("strong", "bv-state");
  private readonly title = make("span", "bv-title");
  private readonly percent = make("span", "bv-percent");
  private readonly time = make("span", "bv-time");
  private readonly money = make("span", "bv-money");
  private readonly kept = make("span", "bv-kept");
  private readonly bar = new Bar();
  private readonly counts = make("p", "bv-counts");
  private readonly note = make("p", "bv-note");
  private readonly failures: Failures;
  private readonly folds = new Folds();
  private readonly voice = new Voice();
  private readonly rest = make("div", "bv-rest");
  private readonly cancel: Action;
  private readonly actions: Actions;
  private readonly more: HTMLButtonElement;
  private readonly unfold: HTMLButtonElement; // after success there is one line, and the rest behind this
  private readonly tasks: Tasks;
  private readonly output: Output;
  private readonly picked = make("div", "bv-task");
  private readonly workers: Workers;
  private readonly details = new Facts();
  private readonly parts;
  private notice = { words: "", until: 0 };
  private heard = ""; // the host's last notice
  private exact: Cell[] | null = null; // states of single tasks, when they were asked for, and at which counts
  private drawnFor = "";
  private asked = 0;
  private now: Shown | null = null;
  private timer: ReturnType<typeof setInterval> | undefined;
  private off: (() => void) | undefined;
  private readonly themed = new MutationObserver(() => {
    this.paint();
  });
  private readonly seen = new IntersectionObserver((entries) => {
    // A canvas that was off the screen may have lost its picture.
    if (entries.some((entry) => entry.isIntersecting)) this.paint();
  });

  constructor(private readonly host: Host) {
    const tell = (words: string): void => {
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
    const redraw = (): void => {
      this.draw();
    };
    this.parts = {
      tasks: this.folds.add("Tasks", redraw),
      workers: this.folds.add("Workers", redraw),
      output: this.folds.add("Output", redraw),
      details: this.folds.add("Details", redraw),
    };
    this.tasks = new Tasks(this.parts.tasks.body, (cell) => void this.pick(cell));
    this.parts.tasks.body.append(this.picked);
    this.output = new Output(this.parts.output.body);
    this.workers = new Workers(this.parts.workers.body, host);
    this.parts.details.body.append(this.details.node);
    this.lay();
  }

  start(): void {
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

  stop(): void {
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

  private paint(): void {
    this.tasks.paint();
    this.workers.paint();
  }

  private lay(): void {
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

  private draw(): void {
    const frame = this.host.frame();
    if (!frame) {
      this.node.dataset["phase"] = "waiting";
      say(this.state, "Connecting");
      for (const node of [this.cancel.node, this.more, this.unfold]) node.hidden = true;
      say(this.note, this.host.link().problem);
      return;
    }
    const now = shown(frame, this.host.link(), Date.now() / 1000);
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
    this.more.hidden = !this.actions.any; // workers that are kept for the next cell cost money after the job's end, too
    this.actions.node.hidden ||= this.more.hidden;
    this.unfold.hidden = !now.plain;
    this.bar.draw(now.segments, now.done, now.total, now.spoken);
    say(this.counts, now.counts);
    const notice = this.news();
    const folded = now.plain && this.unfold.getAttribute("aria-expanded") !== "true";
    this.rest.hidden = folded && !notice;
    this.rest.toggleAttribute("data-folded", folded); // then what became of a request is all that is shown of it
    say(this.note, notice || now.note);
    this.note.dataset["kind"] = notice ? "notice" : now.noteKind;
    this.failures.draw(now.failures, now.moreFailures);
    this.open(now);
    this.voice.hear(now.state, now.done, now.total, now.spoken);
  }

  /** What became of the reader's last request, for a while: then facts take the line again. */
  private news(): string {
    const said = this.host.notice();
    if (said !== this.heard) this.notice = { words: said, until: Date.now() + NOTICE };
    this.heard = said;
    return Date.now() < this.notice.until ? this.notice.words : "";
  }

  /** Draws the sections that are open; their titles always. */
  private open(now: Shown): void {
    const { tasks, workers, output, details } = this.parts;
    workers.title(now.workersTitle);
    if (tasks.isOpen) void this.drawTasks(now);
    if (workers.isOpen) this.workers.draw(now.workers, now.over, now.at);
    if (output.isOpen) this.output.draw(now.output);
    if (details.isOpen) this.details.draw(now.details);
  }

  /** The exact states, where the frame has them only by groups of tasks and they still fit. */
  private async drawTasks(now: Shown): Promise<void> {
    const coarse = now.cells.length < now.total && now.total <= EXACT;
    this.tasks.draw(coarse ? (this.exact ?? now.cells) : now.cells, now.idle);
    const due = this.drawnFor !== now.spoken && (now.over || Date.now() - this.asked > AGAIN);
    if (!coarse || !due) return;
    this.asked = Date.now();
    this.drawnFor = now.spoken;
    const answer = (await this.host.ask("states", { start: 0 })) as Answer<StatesPage>;
    if (answer.problem !== undefined) return; // the groups are drawn already
    this.exact = cellsOf(answer.ok.tasks, now.total);
    this.tasks.draw(this.exact, now.idle);
  }

  private async pick(cell: Cell): Promise<void> {
    if (!(cell.failed || cell.done) || cell.stop - cell.start > 1) {
      this.picked.replaceChildren();
      return;
    }
    const task = cell.start;
    this.picked.replaceChildren(make("p", "bv-quiet", "Reading…"));
    this.picked.replaceChildren(await taskDetails(this.host, task));
  }
}
