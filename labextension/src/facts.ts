// Facts with their labels. Each keeps its node while it is there, so that what is selected or focused stays so.

import { button, make, say } from "./dom.js";
import type { Detail } from "./shown.js";

interface Row {
  readonly label: HTMLElement;
  readonly fact: HTMLElement;
  readonly text: HTMLElement;
}

export class Facts {
  readonly node = make("dl", "bv-facts");
  private readonly rows = new Map<string, Row>();

  draw(details: readonly Detail[]): void {
    const kept = new Set(details.map(({ label }) => label));
    for (const [label, row] of this.rows) {
      if (kept.has(label)) continue;
      row.label.remove();
      row.fact.remove();
      this.rows.delete(label);
    }
    details.forEach(({ label, text, copies }, at) => {
      const row = this.rows.get(label) ?? rowOf(label, copies);
      this.rows.set(label, row);
      say(row.text, text);
      const place = this.node.children[2 * at] ?? null;
      if (place === row.label) return; // moving a node would take the focus away
      this.node.insertBefore(row.label, place);
      row.label.after(row.fact);
    });
  }
}

function rowOf(label: string, copies: boolean): Row {
  const fact = make("dd");
  const text = make("span");
  fact.append(text);
  if (copies) fact.append(" ", copyButton(() => text.textContent, label));
  return { label: make("dt", "", label), fact, text };
}

/** A button that copies the text of that moment, and says so. */
export function copyButton(text: () => string, label: string, word = "Copy"): HTMLButtonElement {
  const knob = button("bv-small", word, () => {
    void navigator.clipboard.writeText(text()).then(
      () => (knob.textContent = "Copied"),
      () => (knob.textContent = "Not allowed here: select and copy"),
    );
  });
  knob.setAttribute("aria-label", `${word}: ${label}`);
  return knob;
}
