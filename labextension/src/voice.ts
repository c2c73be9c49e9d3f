// What a screen reader is told: one polite region, at most one announcement for each tenth of the work or change of state.

import { make } from "./dom.js";

export class Voice {
  readonly node = make("div", "bv-voice");
  private said = "";

  constructor() {
    this.node.setAttribute("role", "status");
    this.node.setAttribute("aria-live", "polite");
  }

  /** Announces `words` if the state or the tenth differs from that of the last announcement. */
  hear(state: string, done: number, total: number, words: string): void {
    const key = `${state} ${Math.floor((10 * done) / Math.max(1, total))}`;
    if (key === this.said) return;
    this.said = key;
    this.node.textContent = words;
  }
}
