// What the view asks of the page it lives in: anywidget's model, or the lab extension's renderer with a server.

import type { Frame, PanelAction } from "./frame.js";

/** Where frames come from, and when it was last heard of. */
export interface Link {
  /** `saved`: nothing answers; the frame is what the file holds. */
  readonly from: "kernel" | "server" | "saved";
  /** When the source last answered, in milliseconds since the epoch; null: never in this page. */
  readonly seen: number | null;
  /** Why it does not answer and what to do, or "". */
  readonly problem: string;
  /** Seconds that the store's clock is ahead of this page's. */
  readonly ahead: number;
}

/** What was asked for, or what is wrong. */
export type Answer<Value = unknown> =
  | { readonly ok: Value; readonly problem?: undefined }
  | { readonly problem: string; readonly context?: string; readonly way_out?: string };

/** What can be asked for beside facts. `collect` brings the results into a notebook's kernel, which hosts with a notebook can. */
export type HostAction = PanelAction | "collect";

export interface Host {
  /** The newest frame with its parts, or null while there is none. */
  frame(): Frame | null;
  link(): Link;
  /** Calls back after each change of frame or link, until the returned function is called. */
  on(listener: () => void): () => void;
  /** Sends a request of docs/panel.md; answers with a problem rather than throwing. */
  ask(kind: string, fields?: Readonly<Record<string, unknown>>): Promise<Answer>;
  /** "" if an action is possible, else the reason; null if this host does not offer it. */
  can(action: HostAction): string | null;
  /** The host's last word about what was asked of it, or "". */
  notice(): string;
}

/** A problem in one line: what, where, way out. */
export function inWords(answer: { problem: string; context?: string; way_out?: string }): string {
  const where = answer.context ? ` (${answer.context})` : "";
  const wayOut = answer.way_out ? ` — ${answer.way_out}` : "";
  return `${answer.problem}${where}${wayOut}`;
}
