// The view's host in the lab extension: frames and actions of the Jupyter server (docs/panel.md), with no kernel at all.
//
// It asks once a second while it can be seen, each ten seconds while it cannot, ever more rarely while nothing answers,
// each ten seconds while only workers are left that are kept, and no more once the job is over for good.

import { frameIn } from "./checked.js";
import { VERSION, type Frame } from "./frame.js";
import type { Answer, Host, HostAction, Link } from "./host.js";

const SEEN = 1000; // milliseconds between two polls of a view that can be seen
const HIDDEN = 10_000;
const MOST = 60_000; // milliseconds between two polls of a server that does not answer
const KEPT = 5000; // milliseconds that what would be saved may lag behind
const OUTLIVE_JOBS = new Set<HostAction>(["cancel_session", "cleanup"]); // workers are kept warm, and cost money
const LASTING = new Set(["finished", "cancelled", "closed", "deleted"]); // ends that nothing follows

/** How a server answered: its JSON, or what is wrong with its HTTP status; 0: it did not. */
export interface Reply {
  readonly status: number;
  readonly etag: string;
  readonly body: unknown;
}

/** One request to the routes below `burst/api`; never throws. */
export type Request = (path: string, init?: RequestInit) => Promise<Reply>;

export interface Fault {
  readonly problem: string;
  readonly context?: string;
  readonly way_out?: string;
  readonly missing_from?: string; // the store that has nothing of the session
}

/** What is wrong with a reply, in the server's words if it has any. */
export function fault(reply: Reply): Fault {
  const said = reply.body as Partial<Fault> | null;
  if (typeof said?.problem === "string") return said as Fault;
  if (reply.status === 0) return { problem: "the Jupyter server does not answer" };
  if (reply.status === 404) return { problem: "this Jupyter server has no burst_magic", way_out: "install it there, and restart the server" };
  if (reply.status === 200) return { problem: "the Jupyter server answered something else", way_out: "reload the page" };
  return { problem: `the Jupyter server answered ${reply.status}` };
}

/** Brings the results of a job into a kernel. */
export interface Collector {
  /** Why that is not possible now, or "". */
  off(frame: Frame): string;
  run(frame: Frame): Answer | Promise<Answer>;
}

/** Follows one job, beginning with the frame that was saved. */
export class ServerHost implements Host {
  private readonly listeners = new Set<() => void>();
  private readonly root: string;
  private etag = "";
  private seen: number | null = null;
  private problem = "";
  private ahead = 0;
  private misses = 0;
  private turn = 0;
  private kept = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private visible = true;
  private stopped = false;
  private gone = false;

  /** `lost` is called once if the server has no such job: another host may have it. */
  constructor(
    private readonly request: Request,
    private latest: Frame,
    private readonly lost: () => void = () => undefined,
    private readonly collector: Collector | null = null,
  ) {
    this.root = `sessions/${encodeURIComponent(latest.session)}/${encodeURIComponent(latest.job)}`;
  }

  start(): void {
    document.addEventListener("visibilitychange", this.woken);
    void this.poll();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.woken);
  }

  /** Whether a reader can see the view. */
  show(visible: boolean): void {
    const wakes = visible && !this.visible;
    this.visible = visible;
    if (wakes) this.woken();
  }

  frame(): Frame {
    return this.latest;
  }

  /** Takes a frame that came another way, if it is newer: the kernel sends its output anew when the job ends. */
  offer(frame: Frame): void {
    if (frame.at <= this.latest.at) return;
    this.etag = "";
    this.latest = withParts(frame, this.latest);
    for (const listener of this.listeners) listener();
  }

  link(): Link {
    const newer = this.latest.version > VERSION;
    const problem = newer ? "written by a newer burst_magic: upgrade this one" : this.problem;
    return { from: this.seen === null ? "saved" : "server", seen: this.seen, problem, ahead: this.ahead };
  }

  on(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  }

  can(action: HostAction): string | null {
    if (action === "collect") return this.collector?.off(this.latest) ?? null;
    if (this.latest.ended !== null && !OUTLIVE_JOBS.has(action)) return `the job is over: ${this.latest.state}`;
    return this.seen === null ? this.problem || "no answer from the Jupyter server yet" : "";
  }

  notice(): string {
    return "";
  }

  async ask(kind: string, fields: Readonly<Record<string, unknown>> = {}): Promise<Answer> {
    if (kind === "collect" && this.collector) return this.collector.run(this.latest);
    const reply = await this.send(kind, fields);
    if (reply.status < 200 || reply.status >= 300) return fault(reply);
    const notice = (reply.body as { notice?: string } | null)?.notice;
    if (notice !== undefined && !this.stopped) void this.poll();
    return { ok: notice ?? reply.body };
  }

  private send(kind: string, fields: Readonly<Record<string, unknown>>): Promise<Reply> {
    const post = (path: string): Promise<Reply> => this.request(path, { method: "POST", body: JSON.stringify(fields) });
    const session = `sessions/${encodeURIComponent(this.latest.session)}`;
    const query = new URLSearchParams(Object.entries(fields).map(([name, value]) => [name, String(value)]));
    switch (kind) {
      case "task":
        return this.request(`${this.root}/tasks/${String(fields["task"])}`);
      case "tasks":
      case "states":
        return this.request(`${this.root}/${kind}?${query.toString()}`);
      case "workers":
      case "timeline":
        return this.request(`${this.root}/${kind}`);
      case "cancel":
        return post(`${this.root}/cancel`);
      case "cancel_session":
        return post(`${session}/cancel`);
      default:
        return post(`${session}/${kind}`);
    }
  }

  private readonly woken = (): void => {
    if (document.hidden || this.stopped || this.over) return;
    void this.poll();
  };

  private get over(): boolean {
    return (this.seen !== null && this.settled && !this.keeps) || this.gone;
  }

  /** Whether workers may live on after the job: they end by themselves, or are told to. */
  private get keeps(): boolean {
    return (this.latest.money.kept?.until ?? 0) > Date.now() / 1000 + this.ahead;
  }

  private get settled(): boolean {
    return this.latest.ended !== null && LASTING.has(this.latest.end);
  }

  /** One look, and the next ones; a newer call takes over from one that is under way. */
  private async poll(): Promise<void> {
    clearTimeout(this.timer);
    this.turn += 1;
    const { turn } = this;
    const { failures, output } = this.latest.revisions;
    const known = this.etag ? `?failures=${failures}&output=${output}` : "";
    const headers: Record<string, string> = this.etag ? { "If-None-Match": this.etag } : {};
    const reply = await this.request(`${this.root}/frame${known}`, { headers, cache: "no-store" });
    if (this.stopped || turn !== this.turn) return;
    this.take(reply);
    for (const listener of this.listeners) listener();
    if (!this.over) this.timer = setTimeout(() => void this.poll(), this.pause());
  }

  private take(reply: Reply): void {
    const frame = reply.status === 200 ? frameIn(reply.body) : null;
    if (frame || reply.status === 304) {
      this.misses = 0;
      this.problem = "";
      this.seen = Date.now();
      if (!frame) return;
      if (frame.ended === null) this.ahead = frame.at - this.seen / 1000;
      this.etag = reply.etag;
      this.latest = withParts(frame, this.latest);
      if (frame.ended !== null || Date.now() - this.kept >= KEPT) void this.keep();
      return;
    }
    // Sessions expire, and notebooks with what they have brought are kept: there is nothing to ask, and nothing wrong.
    this.gone = reply.status === 404 && this.settled;
    if (this.gone) return;
    this.misses += 1;
    const { problem, way_out } = fault(reply);
    this.problem = way_out ? `${problem}; ${way_out}` : problem;
    if (reply.status === 404 && this.misses === 1) this.lost();
  }

  /** Saving cannot wait for the server, so that what is to be saved is fetched beforehand. */
  private async keep(): Promise<void> {
    this.kept = Date.now();
    const { status, body } = await this.request(`${this.root}/output`);
    if (status === 200) newest.set(`${this.latest.session}/${this.latest.job}`, body as Bundle);
  }

  private pause(): number {
    if (this.misses) return Math.min(MOST, SEEN * 2 ** this.misses);
    return this.visible && !document.hidden && !this.settled ? SEEN : HIDDEN;
  }
}

/** What a notebook file is to hold of a job, by mime type: its frame, HTML and words. */
export type Bundle = Readonly<Record<string, unknown>>;

const newest = new Map<string, Bundle>();

/** What the server has last drawn for the file, if a view of this page has asked for it. */
export function newestOf(frame: Frame): Bundle | undefined {
  return newest.get(`${frame.session}/${frame.job}`);
}

/** A frame with the parts that were left out of it, since the reader has them. */
export function withParts(frame: Frame, before: Frame): Frame {
  const failures = frame.failures ?? before.failures;
  const output = frame.output ?? before.output;
  return { ...frame, ...(failures ? { failures } : {}), ...(output ? { output } : {}) };
}
