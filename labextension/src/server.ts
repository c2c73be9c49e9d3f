// The view without a kernel: frames from Jupyter's own server (docs/panel.md), each second while the page is seen.

import type { Frame } from "./frame.js";
import { VERSION } from "./frame.js";
import type { Answer, Host, Link } from "./host.js";

/** Asks the server for a path below `burst/api/`; carries the user's token or cookies, and XSRF. */
export type Ask = (path: string, init: RequestInit) => Promise<Response>;

/** What a notebook knows of a job. */
export interface Place {
  readonly session: string;
  readonly job: string;
  /** The frame that the file holds, or null. */
  readonly saved: Frame | null;
}

const SEEN = 1000; // milliseconds between two questions while the page is seen
const HIDDEN = 10_000; // while it is not
const SLOWEST = 30_000; // after many faults in a row, and after an end that may be taken back
const ABSENT = 60_000; // while the server has no extension
const FOR_GOOD = new Set(["finished", "cancelled", "closed", "deleted"]);
const NO_EXTENSION =
  "this Jupyter server has no burst_magic extension, or an older one: install burst_magic where the server runs, and restart it";

export class ServerHost implements Host {
  private readonly listeners = new Set<() => void>();
  private readonly root: string;
  private readonly job: string;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private shown: Frame | null;
  private tag = "";
  private seen: number | null = null;
  private ahead = 0;
  private problem = "";
  private absent = false;
  private faults = 0;
  private asking = false;
  private again = false; // asked for while an answer was under way
  private stopped = false;
  private said = "";

  constructor(
    private readonly request: Ask,
    place: Place,
    private readonly page: Document = document,
  ) {
    this.root = `sessions/${encodeURIComponent(place.session)}`;
    this.job = `${this.root}/${encodeURIComponent(place.job)}`;
    this.shown = place.saved;
  }

  start(): this {
    this.page.addEventListener("visibilitychange", this.soon);
    void this.look();
    return this;
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    this.page.removeEventListener("visibilitychange", this.soon);
  }

  frame(): Frame | null {
    return this.shown;
  }

  link(): Link {
    return { from: this.seen === null ? "saved" : "server", seen: this.seen, problem: this.problem, ahead: this.ahead };
  }

  on(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  }

  can(): string | null {
    if (this.absent) return NO_EXTENSION;
    if (this.seen === null) return this.problem || "the server has not answered yet";
    return this.shown?.ended === null ? "" : "the job has ended";
  }

  notice(): string {
    return this.said;
  }

  async ask(kind: string, fields: Readonly<Record<string, unknown>> = {}): Promise<Answer> {
    const answer = await this.send(kind, fields);
    if (answer.problem === undefined && typeof answer.ok === "string") this.said = answer.ok;
    this.soon();
    return answer;
  }

  private async send(kind: string, fields: Readonly<Record<string, unknown>>): Promise<Answer> {
    switch (kind) {
      case "tasks":
        return this.fetch(`${this.job}/tasks?${query({ group: fields.group, after: fields.after })}`);
      case "task":
        return this.fetch(`${this.job}/tasks/${text(fields.task)}`);
      case "states":
        return this.fetch(`${this.job}/states?${query({ start: fields.start })}`);
      case "workers":
        return this.fetch(`${this.job}/workers`);
      case "cancel":
        return this.post(`${this.job}/cancel`, {});
      case "cancel_session":
        return this.post(`${this.root}/cancel`, {});
      case "scale":
      case "extend":
        return this.post(`${this.root}/${kind}`, fields);
      default:
        return { problem: `a server does not know ${kind}` };
    }
  }

  private async fetch(path: string, init: RequestInit = {}): Promise<Answer> {
    try {
      const response = await this.request(path, init);
      const body: unknown = await response.json().catch(() => null);
      return response.ok ? { ok: body } : { ...fault(body, response.status) };
    } catch (error) {
      return { problem: `the Jupyter server does not answer: ${String(error)}` };
    }
  }

  private async post(path: string, fields: Readonly<Record<string, unknown>>): Promise<Answer> {
    const answer = await this.fetch(path, { method: "POST", body: JSON.stringify(fields) });
    return answer.problem === undefined ? { ok: (answer.ok as { notice: string }).notice } : answer;
  }

  private readonly soon = (): void => {
    clearTimeout(this.timer);
    void this.look();
  };

  private async look(): Promise<void> {
    if (this.asking) {
      this.again = true;
      return;
    }
    this.asking = true;
    this.again = false;
    const before = JSON.stringify(this.link());
    const changed = await this.poll();
    this.asking = false;
    if (this.over()) return;
    if (changed || JSON.stringify(this.link()) !== before) for (const listener of this.listeners) listener();
    const pause = this.pause();
    if (pause !== null) this.timer = setTimeout(this.soon, pause);
  }

  /** Whether it was stopped, meanwhile too. */
  private over(): boolean {
    return this.stopped;
  }

  /** Milliseconds until the next question, or null after the end. */
  private pause(): number | null {
    if (this.again) return 0;
    if (this.absent) return ABSENT;
    if (this.problem) return Math.min(SLOWEST, SEEN * 2 ** Math.min(this.faults, 10));
    if (this.shown !== null && this.shown.ended !== null) return FOR_GOOD.has(this.shown.end) ? null : SLOWEST;
    return this.page.hidden ? HIDDEN : SEEN;
  }

  /** Asks once; whether there is another frame. */
  private async poll(): Promise<boolean> {
    const known = this.tag && this.shown ? this.shown.revisions : { failures: "", output: "" };
    const headers: Record<string, string> = this.tag ? { "If-None-Match": this.tag } : {};
    try {
      const response = await this.request(`${this.job}/frame?${query({ ...known })}`, { headers, cache: "no-store" });
      if (response.status === 304) this.answered();
      else return this.took(response, await response.json().catch(() => null));
    } catch (error) {
      this.failed(`the Jupyter server does not answer: ${String(error)}`);
    }
    return false;
  }

  private took(response: Response, body: unknown): boolean {
    if (!response.ok) {
      this.absent = response.status === 404 && !isFault(body);
      this.failed(this.absent ? NO_EXTENSION : inOneLine(fault(body, response.status)));
      return false;
    }
    const frame = body as Frame;
    if (frame.version > VERSION) {
      this.failed("the server's burst_magic is newer than this page: reload it");
      return false;
    }
    if (frame.ended === null) this.ahead = frame.at - Date.now() / 1000;
    const before = this.shown;
    this.shown = {
      ...frame,
      failures: frame.failures ?? before?.failures ?? { groups: [], more: 0, more_tasks: 0, unread: "" },
      output: frame.output ?? before?.output ?? { lines: [] },
    };
    this.tag = response.headers.get("ETag") ?? "";
    this.answered();
    return true;
  }

  private answered(): void {
    this.seen = Date.now();
    this.problem = "";
    this.absent = false;
    this.faults = 0;
  }

  private failed(problem: string): void {
    this.problem = problem;
    this.faults += 1;
  }
}

interface Fault {
  readonly problem: string;
  readonly context?: string;
  readonly way_out?: string;
}

function isFault(body: unknown): body is Fault {
  return typeof body === "object" && body !== null && typeof (body as Fault).problem === "string";
}

function fault(body: unknown, status: number): Fault {
  return isFault(body) ? body : { problem: `the Jupyter server answers with ${status}` };
}

function inOneLine(wrong: Fault): string {
  return wrong.way_out ? `${wrong.problem} — ${wrong.way_out}` : wrong.problem;
}

function text(value: unknown): string {
  return typeof value === "number" || typeof value === "string" ? encodeURIComponent(value) : "";
}

function query(fields: Readonly<Record<string, unknown>>): string {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined && value !== null);
  return given.map(([name, value]) => `${name}=${text(value)}`).join("&");
}
