// The view in a live kernel's widget: anywidget's model has the frame and its parts in traits of text, and carries
// requests as messages.

import type { FailuresPart, Frame, HostState, OutputPart } from "./frame.js";
import { MIME, VERSION } from "./frame.js";
import type { Answer, Host, HostAction, Link } from "./host.js";
import { mount } from "./view.js";

/** The part of anywidget's model that is used. */
interface Model {
  get(name: string): unknown;
  on(event: string, listener: (...values: never[]) => void): void;
  off(event: string, listener: (...values: never[]) => void): void;
  send(content: unknown): void;
}

const CUT = "comm_live_update"; // what ipywidgets says of a model whose kernel has gone
const TRAITS = ["frame", "failures", "output", "host"];

class ModelHost implements Host {
  private readonly listeners = new Set<() => void>();
  private readonly waiting = new Map<number, (answer: Answer) => void>();
  private asked = 0;
  private seen: number | null = null;
  private ahead = 0;
  private lost = false; // its kernel has ended or was restarted: nothing will change here, and nothing can be asked
  private parsed: Frame | null = null;
  private state: HostState | null = null;

  constructor(private readonly model: Model) {
    this.read();
    model.on("change:frame", this.arrived);
    for (const name of TRAITS) model.on(`change:${name}`, this.changed);
    model.on("msg:custom", this.answered);
    model.on(CUT, this.cut);
  }

  stop(): void {
    for (const name of TRAITS) this.model.off(`change:${name}`, this.changed);
    this.model.off("change:frame", this.arrived);
    this.model.off("msg:custom", this.answered);
    this.model.off(CUT, this.cut);
  }

  frame(): Frame | null {
    return this.parsed;
  }

  link(): Link {
    const newer = this.parsed !== null && this.parsed.version > VERSION;
    const problem = newer ? `written by a newer burst_magic (${MIME} ${this.parsed?.version ?? 0}): upgrade` : "";
    return { from: this.lost ? "saved" : "kernel", seen: this.seen, problem, ahead: this.ahead };
  }

  on(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  }

  ask(kind: string, fields: Readonly<Record<string, unknown>> = {}): Promise<Answer> {
    this.asked += 1;
    const id = this.asked;
    return new Promise((resolve) => {
      this.waiting.set(id, resolve);
      this.model.send({ ...fields, kind, id });
    });
  }

  /** A view that is born after the end (a reload, a browser that was closed) asks for the static output again. */
  announce(): void {
    if (typeof this.parsed?.ended === "number") this.model.send({ kind: "shown" });
  }

  can(action: HostAction): string | null {
    if (action === "collect") return null; // its kernel has them
    if (this.lost) return `the kernel that showed this has ended; ${this.parsed?.attach ?? "%burst_attach"} in the new one goes on`;
    return this.state?.actions.find((each) => each.action === action)?.off ?? null;
  }

  notice(): string {
    return this.state?.notice ?? "";
  }

  private readonly changed = (): void => {
    this.read();
    for (const listener of this.listeners) listener();
  };

  private readonly cut = (): void => {
    this.lost = true;
    for (const listener of this.listeners) listener();
  };

  private readonly arrived = (): void => {
    this.lost = false;
    this.seen = Date.now();
    const frame = parse(this.model.get("frame")) as Frame | null;
    if (frame?.ended === null) this.ahead = frame.at - this.seen / 1000;
  };

  private readonly answered = (content: { id?: number } & Answer): void => {
    const resolve = content.id === undefined ? undefined : this.waiting.get(content.id);
    if (!resolve || content.id === undefined) return;
    this.waiting.delete(content.id);
    resolve(content);
  };

  private read(): void {
    const frame = parse(this.model.get("frame")) as Frame | null;
    const failures = parse(this.model.get("failures")) as FailuresPart | null;
    const output = parse(this.model.get("output")) as OutputPart | null;
    this.state = parse(this.model.get("host")) as HostState | null;
    this.parsed = frame && { ...frame, ...(failures ? { failures } : {}), ...(output ? { output } : {}) };
  }
}

/** The value of a trait of text, null while it is empty. What it is of is the kernel's word (docs/panel.md). */
function parse(text: unknown): unknown {
  return typeof text === "string" && text ? JSON.parse(text) : null;
}

function render({ model, el }: { model: Model; el: HTMLElement }): () => void {
  const host = new ModelHost(model);
  const unmount = mount(host, el);
  host.announce();
  return () => {
    unmount();
    host.stop();
  };
}

export default { render };
