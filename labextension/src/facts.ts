// Facts with their labels. Each keeps its node while it is there, so that what is selected or focused stays so.

import { button, Keyed, make, say } from "./dom.js";
import type { Detail } from "./shown.js";

export class Facts {
  readonly node = make("dl", "bv-facts");
  private readonly rows = new Keyed(this.node, (label) => new Row(label));

  draw(details: readonly Detail[]): void {
    this.rows.draw(details, ({ label }) => label, (row, detail) => {
      row.draw(detail);
    });
  }
}

class Row {
  readonly node = make("div", "bv-fact");
  private readonly fact = make("dd");
  private readonly text = make("span");
  private readonly copy: HTMLElement;

  constructor(label: string) {
    this.copy = copyButton(() => this.text.textContent, label);
    this.fact.append(this.text, " ", this.copy);
    this.node.append(make("dt", "", label), this.fact);
  }

  draw({ text, copies }: Detail): void {
    say(this.text, text);
    this.copy.hidden = !copies;
  }
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
