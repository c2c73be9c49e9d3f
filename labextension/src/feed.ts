// The list of sessions, asked for once for all who show it: as often as the most eager of them wants while the document can
// be seen, ever more rarely while nothing changes or nothing answers, and not at all while nobody wants it.

import type { SessionList } from "./frame.js";
import { fault, type Fault, type Request } from "./server.js";

const MOST = 60_000; // milliseconds between two questions to a server that does not answer
const SLOWEST = 5; // times the pause that is wanted, while nothing changes
const AWAY = 60_000; // milliseconds between two questions while the document is hidden, where that is wanted
const STILL = 4; // answers without a change before they are asked for more rarely

/** The list in an answer, or null: a proxy's page, for instance, is none. */
function answeredList(body: unknown): SessionList | null {
  return Array.isArray((body as Partial<SessionList> | null)?.sessions) ? (body as SessionList) : null;
}

export class Feed {
  private readonly listeners = new Set<() => void>();
  private readonly wants = new Map<string, number>();
  private latest: SessionList | null = null;
  private wrong: Fault | null = null;
  private etag = "";
  private misses = 0;
  private unchanged = 0;
  private turn = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** `whileHidden`: whether somebody is told of the end of what runs though the document is hidden. */
  constructor(
    private readonly request: Request,
    private readonly whileHidden: () => boolean = () => false,
  ) {
    document.addEventListener("visibilitychange", this.woken);
  }

  /** The newest list, or null while there is none. */
  list(): SessionList | null {
    return this.latest;
  }

  /** Why the newest list is old, or null. */
  problem(): Fault | null {
    if (this.wrong) return this.wrong;
    const { problem, context, way_out } = this.latest ?? { problem: "", context: "", way_out: "" };
    return problem ? { problem, context, way_out } : null;
  }

  on(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  }

  /** `who` wants the list each so many milliseconds; null: no more. The first question is asked at once. */
  want(who: string, every: number | null): void {
    const before = this.pace;
    if (every === null) this.wants.delete(who);
    else this.wants.set(who, every);
    if (this.pace < before) this.look();
    else if (this.pace === Infinity) clearTimeout(this.timer);
  }

  /** Asks now, for instance after something was asked of a session. */
  look(): void {
    this.unchanged = 0;
    void this.poll();
  }

  stop(): void {
    this.wants.clear();
    this.turn += 1;
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.woken);
  }

  private get pace(): number {
    return Math.min(...this.wants.values());
  }

  private readonly woken = (): void => {
    if (document.hidden) this.wait();
    else if (this.wants.size) this.look();
  };

  /** A newer call takes over from one that is under way. */
  private async poll(): Promise<void> {
    clearTimeout(this.timer);
    this.turn += 1;
    const { turn } = this;
    const headers: Record<string, string> = this.etag ? { "If-None-Match": this.etag } : {};
    const reply = await this.request("sessions", { headers, cache: "no-store" });
    if (turn !== this.turn) return;
    const known = reply.status === 304;
    const list = reply.status === 200 ? answeredList(reply.body) : null;
    if (list || known) {
      this.wrong = null;
      this.misses = 0;
      this.unchanged = known ? this.unchanged + 1 : 0;
      this.etag = reply.etag;
      if (list) this.latest = list;
    } else {
      this.wrong = fault(reply);
      this.misses += 1;
    }
    for (const listener of this.listeners) listener();
    this.wait();
  }

  private wait(): void {
    clearTimeout(this.timer);
    const pause = this.pause();
    if (pause < Infinity) this.timer = setTimeout(() => void this.poll(), pause);
  }

  private pause(): number {
    if (document.hidden) return this.wants.size && this.runs && this.whileHidden() ? AWAY : Infinity;
    if (this.misses) return this.wants.size ? Math.max(this.pace, Math.min(MOST, this.pace * 2 ** this.misses)) : Infinity;
    return this.pace * Math.min(SLOWEST, Math.max(1, this.unchanged - STILL + 1));
  }

  private get runs(): boolean {
    return this.latest?.sessions.some((each) => each.session.state === "running") ?? false;
  }
}
