// The newest lines of the tasks' output, with a filter; it follows its end unless the reader has scrolled up.

import { make } from "./dom.js";
import type { OutputLine } from "./shown.js";
import { count } from "./words.js";

export class Output {
  private readonly box = make("div", "bv-output");
  private readonly search = make("input");
  private lines: readonly OutputLine[] = [];
  private painted = "";

  constructor(body: HTMLElement) {
    const label = make("label", "bv-field", "Filter ");
    this.search.type = "search";
    this.search.addEventListener("input", () => {
      this.paint();
    });
    this.search.addEventListener("keydown", (event) => {
      event.stopPropagation(); // typed letters are not the notebook's commands
    });
    label.append(this.search);
    this.box.tabIndex = 0;
    this.box.setAttribute("role", "log");
    this.box.setAttribute("aria-label", "Output of tasks");
    this.box.setAttribute("aria-live", "off");
    body.append(label, this.box);
  }

  draw(lines: readonly OutputLine[]): void {
    this.lines = lines;
    this.paint();
  }

  /** Unchanged lines stay, with what the reader has selected of them. */
  private paint(): void {
    const wanted = this.search.value.toLowerCase();
    const key = JSON.stringify([wanted, this.lines]);
    if (key === this.painted) return;
    this.painted = key;
    const follows = this.box.scrollTop + this.box.clientHeight >= this.box.scrollHeight - 4;
    const shown = this.lines.filter((line) => line.text.toLowerCase().includes(wanted) || String(line.task) === wanted);
    const rows = shown.map(({ task, text }) => {
      const row = make("div", "bv-line");
      row.append(make("span", "bv-line-task", count(task)), make("span", "", text));
      return row;
    });
    const none = this.lines.length ? "No line matches." : "The tasks have printed nothing yet.";
    this.box.replaceChildren(...(rows.length ? rows : [make("p", "bv-quiet", none)]));
    if (follows) this.box.scrollTop = this.box.scrollHeight;
  }
}
