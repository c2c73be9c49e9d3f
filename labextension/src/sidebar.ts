// The list of sessions: each with its state, progress, money and notebook, and what can be done with it. It draws what
// `sessions.ts` says; a row keeps its nodes, so that the focus and a question that stands survive the next list.

import { Action } from "./actions.js";
import { Bar } from "./bar.js";
import { button, Keyed, make, say } from "./dom.js";
import { copyButton } from "./facts.js";
import type { Feed } from "./feed.js";
import type { SessionList } from "./frame.js";
import { inWords, type Answer } from "./host.js";
import { accountWords, elsewhere, rowOf, type Row } from "./sessions.js";

const WAITING = "Asked; no answer yet."; // what is deleted may wait for workers to end
const TICK = 5000; // milliseconds between two looks at the clock: money and ages go on

/** What a reader can do with a session; each answers in words. */
export interface Deeds {
  open(session: string, job: string): Promise<Answer>;
  attach(row: Row): Promise<Answer>;
  stop(row: Row): Promise<Answer>;
  delete(row: Row): Promise<Answer>;
}

/** How the reader is told of the end of a session while looking elsewhere. */
export interface Permission {
  state(): "granted" | "denied" | "default" | "unsupported";
  ask(): Promise<void>;
}

export class Sidebar {
  readonly node = make("section", "burst-sessions");
  private readonly trouble = make("p", "bs-trouble");
  private readonly empty = make("p", "bs-empty");
  private readonly rows = make("ul", "bs-list");
  private readonly rest = make("p", "bs-rest");
  private readonly account = make("section", "bs-account");
  private readonly told = make("p", "bs-rest");
  private readonly allow: HTMLButtonElement;
  private readonly sessions = new Keyed(this.rows, (id) => new SessionRow(id, this.deeds));
  private timer: ReturnType<typeof setInterval> | undefined;
  private off: (() => void) | undefined;
  private drawnAccount = "";

  constructor(
    private readonly feed: Feed,
    private readonly deeds: Deeds,
    private readonly permission: Permission,
  ) {
    this.node.setAttribute("aria-label", "Burst sessions");
    this.trouble.setAttribute("role", "status");
    this.allow = button("bv-small", "Also notify me outside this page", () => {
      void permission.ask().then(() => {
        this.draw();
      });
    });
    const foot = make("div", "bs-foot");
    foot.append(this.allow, this.told);
    this.node.append(make("h2", "bs-title", "Burst sessions"), this.trouble, this.empty, this.rows, this.rest, this.account, foot);
    this.draw();
  }

  /** Follows the list while it can be seen. */
  show(): void {
    if (this.off) return;
    this.off = this.feed.on(() => {
      this.draw();
    });
    this.timer = setInterval(() => {
      this.draw();
    }, TICK);
    this.draw();
  }

  hide(): void {
    this.off?.();
    this.off = undefined;
    clearInterval(this.timer);
  }

  private draw(): void {
    const list = this.feed.list();
    const problem = this.feed.problem();
    const now = Date.now() / 1000;
    say(this.trouble, problem ? inWords(problem) : "");
    this.trouble.hidden = !problem;
    say(this.empty, emptyWords(list, problem !== null));
    this.empty.hidden = !this.empty.textContent;
    this.drawRows(list, now);
    say(this.rest, restWords(list));
    this.rest.hidden = !this.rest.textContent;
    this.drawAccount(list, now);
    const state = this.permission.state();
    this.allow.hidden = state !== "default";
    say(this.told, PERMISSIONS[state]);
    this.told.hidden = !this.told.textContent;
  }

  private drawRows(list: SessionList | null, now: number): void {
    const listed = (list?.sessions ?? []).map((each) => rowOf(each, now));
    this.sessions.draw(listed, ({ id }) => id, (row, each) => {
      row.draw(each);
    });
  }

  private drawAccount(list: SessionList | null, now: number): void {
    const found = list ? elsewhere(list) : [];
    const problem = list?.account?.problem ? inWords(list.account) : "";
    const lines = found.map((each) => accountWords(each, now));
    this.account.hidden = !found.length && !problem;
    const drawn = JSON.stringify([problem, lines]);
    if (drawn === this.drawnAccount || this.account.contains(document.activeElement)) return;
    this.drawnAccount = drawn;
    const heading = make("h3", "bs-title", `Also runs in the account${list?.account?.region ? `, ${list.account.region}` : ""}`);
    const rows = make("ul", "bs-list");
    found.forEach((each, at) => {
      const row = make("li", "bs-row");
      const line = `%burst_cleanup ${each.id}`;
      const stop = make("p", "bs-soft", "its store is another one; where its key is, this stops it: ");
      stop.append(make("code", "", line), " ", copyButton(() => line, "the line"));
      row.append(make("p", "bs-name", each.id), make("p", "bs-soft", lines[at]), stop);
      rows.append(row);
    });
    const nodes = problem ? [heading, make("p", "bs-trouble", problem), rows] : [heading, rows];
    this.account.replaceChildren(...nodes);
  }
}

const PERMISSIONS = {
  granted: "This browser also notifies you outside this page.",
  denied: "This browser blocks notifications of this page; its site settings allow them.",
  default: "",
  unsupported: "",
} as const;

function emptyWords(list: SessionList | null, problem: boolean): string {
  if (problem) return "";
  if (!list) return "Looking for sessions…";
  if (list.sessions.length || list.unread) return "";
  return `No sessions in ${list.store} yet. A cell that begins with %%burst starts one.`;
}

function restWords(list: SessionList | null): string {
  const parts = [];
  if (list?.unread) parts.push(`${list.unread} not read yet: requests to the store are limited`);
  if (list?.more) parts.push(`${list.more} older: %burst_sessions --all lists them`);
  return parts.join("; ");
}

class SessionRow {
  readonly node = make("li", "bs-row");
  private readonly name: HTMLButtonElement;
  private readonly state = make("strong", "bs-state");
  private readonly percent = make("span", "bs-percent");
  private readonly bar = new Bar();
  private readonly counts = make("p", "bs-soft");
  private readonly money = make("p", "bs-money");
  private readonly notebook = make("p", "bs-soft");
  private readonly jobs = make("ul", "bs-jobs");
  private readonly controls = make("div", "bs-controls");
  private readonly note = make("p", "bs-note");
  private readonly actions: readonly Action[];
  private row: Row | null = null;
  private drawnJobs = "";

  constructor(id: string, deeds: Deeds) {
    const tell = (words: string): void => {
      say(this.note, words);
      this.note.hidden = !words;
    };
    const withRow = (deed: (row: Row) => Promise<Answer>) => (): Promise<Answer> =>
      this.row ? deed(this.row) : Promise.resolve({ problem: "no session yet" });
    this.name = button("bs-name", "", () => {
      if (this.row) void this.open(deeds, this.row.id, this.row.job, tell);
    });
    this.actions = [
      new Action("Attach", () => "", withRow((row) => deeds.attach(row)), tell, undefined, WAITING),
      new Action("Stop", () => "Stop all its tasks?", withRow((row) => deeds.stop(row)), tell, undefined, WAITING),
      new Action("Clean up", () => "Delete it with its results?", withRow((row) => deeds.delete(row)), tell, undefined, WAITING),
    ];
    this.node.dataset["session"] = id;
    this.note.setAttribute("role", "status");
    this.note.hidden = true;
    const mark = make("span", "bs-mark");
    mark.setAttribute("aria-hidden", "true");
    const head = make("div", "bs-head");
    head.append(mark, this.name, this.percent);
    const said = make("p", "bs-line");
    said.append(this.state, " ", this.money);
    this.controls.setAttribute("role", "group");
    this.controls.append(...this.actions.map((action) => action.node));
    this.jobs.addEventListener("click", (event) => {
      const job = (event.target as HTMLElement).dataset["job"];
      if (job && this.row) void this.open(deeds, this.row.id, job, tell);
    });
    this.node.append(head, said, this.bar.node, this.counts, this.notebook, this.jobs, this.controls, this.note);
  }

  draw(row: Row): void {
    this.row = row;
    this.node.dataset["phase"] = row.phase;
    this.node.dataset["over"] = String(row.overBudget);
    say(this.name, row.title);
    this.name.title = `Open ${row.id}`;
    this.name.setAttribute("aria-disabled", String(!row.job));
    say(this.state, row.state);
    say(this.money, row.money);
    say(this.percent, row.percent);
    this.bar.node.hidden = Boolean(row.problem) || !row.total;
    this.bar.draw(row.segments, row.done, row.total, `${row.state}: ${row.counts}`);
    say(this.counts, `${row.counts} · ${row.began} · ${row.launcher}`);
    const file = row.notebook.split("/").at(-1) ?? "";
    say(this.notebook, file);
    this.notebook.title = row.notebook;
    this.notebook.hidden = !file;
    const [attach, stop, clean] = this.actions;
    attach?.allow(row.attachOff);
    stop?.allow(row.stopOff);
    clean?.allow(row.deleteOff);
    this.controls.setAttribute("aria-label", row.title);
    this.drawJobs(row);
  }

  stop(): void {
    for (const action of this.actions) action.stop();
  }

  private drawJobs(row: Row): void {
    const drawn = JSON.stringify(row.jobs);
    this.jobs.hidden = row.jobs.length < 2;
    if (drawn === this.drawnJobs || this.jobs.contains(document.activeElement)) return;
    this.drawnJobs = drawn;
    const items = row.jobs.map(({ job, words }) => {
      const item = make("li");
      const open = button("bs-name", words, () => undefined); // the list itself listens
      open.dataset["job"] = job;
      item.append(open);
      return item;
    });
    this.jobs.replaceChildren(...(row.jobs.length < 2 ? [] : items));
  }

  private async open(deeds: Deeds, session: string, job: string, tell: (words: string) => void): Promise<void> {
    if (!job) {
      tell(this.row?.problem ?? "");
      return;
    }
    const answer = await deeds.open(session, job);
    tell(answer.problem === undefined ? "" : inWords(answer));
  }
}
