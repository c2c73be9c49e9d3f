// Errors first: each kind of failure in one line with its first task; its tasks, and a task's traceback, on demand.

import { button, fresh, Keyed, make, say } from "./dom.js";
import type { TaskRow, TasksPage } from "./frame.js";
import { inWords, type Answer, type Host } from "./host.js";
import type { FailureLine } from "./shown.js";
import { taskDetails } from "./task.js";
import { count } from "./words.js";

export class Failures {
  readonly node = make("div", "bv-failures");
  private readonly none = make("p", "bv-quiet", "No failures");
  private readonly list = make("ul", "bv-groups");
  private readonly more = make("p", "bv-quiet");
  private readonly rows = new Keyed(this.list, (id) => new Row(id, this.host));

  constructor(private readonly host: Host) {
    this.node.append(this.none, this.list, this.more);
  }

  draw(lines: readonly FailureLine[], more: string): void {
    this.none.hidden = lines.length > 0;
    this.list.hidden = !lines.length;
    this.more.hidden = !more;
    say(this.more, more);
    this.rows.draw(lines, ({ id }) => id, (row, line) => {
      row.draw(line);
    });
  }
}

class Row {
  readonly node = make("li", "bv-group");
  private readonly mark = make("b", "bv-number");
  private readonly message = make("code", "bv-message");
  private readonly where = make("span", "bv-where");
  private readonly body = make("div", "bv-group-body");
  private readonly strip = make("div", "bv-task-list");
  private readonly trouble = make("p", "bv-trouble");
  private readonly picked = make("div", "bv-task");
  private readonly show: HTMLButtonElement;
  private readonly further: HTMLButtonElement;
  private next: number | null = null;
  private what = "";

  constructor(
    private readonly id: string,
    private readonly host: Host,
  ) {
    const line = make("div", "bv-group-line");
    this.body.id = fresh("group");
    this.body.hidden = true;
    this.show = button("bv-small", "Show", () => {
      this.toggle();
    });
    this.show.setAttribute("aria-expanded", "false");
    this.show.setAttribute("aria-controls", this.body.id);
    this.further = button("bv-small", "More", () => void this.fill());
    this.further.hidden = true;
    this.strip.setAttribute("role", "group");
    this.strip.setAttribute("aria-label", "Failed tasks");
    this.body.append(this.strip, this.further, this.trouble, this.picked);
    line.append(this.mark, this.message, this.where, this.show);
    this.node.append(line, this.body);
  }

  draw(line: FailureLine): void {
    say(this.mark, line.number);
    say(this.message, line.message);
    this.message.title = line.message;
    say(this.where, line.where);
    this.show.hidden = !line.opens;
    this.what = `${line.number}, ${line.message}`;
    this.label();
  }

  /** The button's word, and for those who do not see what it stands beside, of what. */
  private label(): void {
    const word = this.body.hidden ? "Show" : "Hide";
    say(this.show, word);
    this.show.setAttribute("aria-label", `${word} the tasks: ${this.what}`);
  }

  private toggle(): void {
    this.body.hidden = !this.body.hidden;
    this.show.setAttribute("aria-expanded", String(!this.body.hidden));
    this.label();
    if (this.body.hidden) return;
    // Opened anew it is read anew: more tasks may have failed meanwhile.
    this.next = null;
    this.strip.replaceChildren();
    void this.fill();
  }

  private async fill(): Promise<void> {
    say(this.trouble, "");
    const after = this.next === null ? {} : { after: this.next };
    const answer = (await this.host.ask("tasks", { group: this.id, ...after })) as Answer<TasksPage>;
    if (answer.problem !== undefined) {
      say(this.trouble, inWords(answer));
      return;
    }
    const before = this.strip.childElementCount;
    this.strip.append(...answer.ok.rows.map((row) => this.knob(row)));
    this.next = answer.ok.next;
    this.further.hidden = this.next === null;
    const first = this.strip.querySelector("button");
    if (!before && first) first.click();
  }

  private knob(row: TaskRow): HTMLButtonElement {
    const knob = button("bv-small", count(row.task), () => {
      for (const other of this.strip.children) other.setAttribute("aria-pressed", "false");
      knob.setAttribute("aria-pressed", "true");
      void this.open(row.task);
    });
    knob.title = [row.item, row.message].filter(Boolean).join(": ");
    knob.setAttribute("aria-label", `Task ${row.task}`);
    knob.setAttribute("aria-pressed", "false");
    return knob;
  }

  private async open(task: number): Promise<void> {
    this.picked.replaceChildren(await taskDetails(this.host, task));
  }
}
