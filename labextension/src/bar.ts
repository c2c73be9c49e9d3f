// One bar for all tasks, ordered by state and not by number: done, running, pending, failed. Segments differ by texture
// and by gaps, too, so that it reads without colour.

import { make } from "./dom.js";
import type { Segment } from "./shown.js";

const LEAST = 0.6; // percent of the width: a single failure among a million tasks stays visible

export class Bar {
  readonly node = make("div", "bv-bar");
  private readonly parts = new Map<string, HTMLElement>();

  constructor() {
    this.node.setAttribute("role", "progressbar");
    this.node.setAttribute("aria-valuemin", "0");
    for (const state of ["done", "running", "pending", "failed"]) {
      const part = make("span", `bv-part bv-${state}`);
      this.parts.set(state, part);
      this.node.append(part);
    }
  }

  draw(segments: readonly Segment[], done: number, total: number, text: string): void {
    for (const { state, count } of segments) {
      const part = this.parts.get(state);
      if (!part) continue;
      part.style.flexGrow = String(count);
      part.style.minWidth = count ? `max(${LEAST}%, 3px)` : "0";
      part.hidden = !count;
    }
    this.node.setAttribute("aria-valuemax", String(Math.max(1, total)));
    this.node.setAttribute("aria-valuenow", String(total ? done : 1));
    this.node.setAttribute("aria-valuetext", text);
    this.node.setAttribute("aria-label", "Tasks done");
  }
}
