// What a reader can do. What costs or destroys asks a second time in the same place; a control that is off says why.

import { button, fresh, make } from "./dom.js";
import type { PanelAction } from "./frame.js";
import { inWords, type Answer, type Host } from "./host.js";

const ASKING = 4000; // milliseconds that a question stands
const PATIENCE = 3000; // milliseconds without an answer before the reader is told to wait

/** Does one thing, after a second click if there is a question. */
export class Action {
  readonly node: HTMLButtonElement;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private asking = false;
  private busy = false;
  private off = "";

  constructor(
    private readonly label: string,
    private readonly question: string,
    private readonly act: () => Promise<Answer>,
    private readonly tell: (words: string) => void,
  ) {
    this.node = button("bv-button", label, () => {
      this.click();
    });
  }

  /** On with "", off with a reason; null: this host does not offer it. */
  allow(off: string | null): void {
    this.node.hidden = off === null;
    this.off = off ?? "";
    if (off && this.asking) this.rest();
    this.node.setAttribute("aria-disabled", String(Boolean(off) || this.busy));
    this.node.title = this.off;
  }

  stop(): void {
    clearTimeout(this.timer);
  }

  private click(): void {
    if (this.busy) return;
    if (this.off) this.tell(this.off);
    else if (this.question && !this.asking) this.ask();
    else void this.run();
  }

  private ask(): void {
    this.asking = true;
    this.node.classList.add("bv-sure");
    this.node.textContent = this.question;
    this.timer = setTimeout(() => {
      this.rest();
    }, ASKING);
  }

  private rest(): void {
    clearTimeout(this.timer);
    this.asking = false;
    this.node.classList.remove("bv-sure");
    this.node.textContent = this.label;
  }

  private async run(): Promise<void> {
    this.rest();
    this.busy = true;
    this.node.setAttribute("aria-disabled", "true");
    this.timer = setTimeout(() => {
      this.tell("Asked; no answer yet. A busy kernel answers when its cell ends.");
    }, PATIENCE);
    const answer = await this.act();
    clearTimeout(this.timer);
    this.busy = false;
    this.allow(this.off);
    const said = answer.problem === undefined ? answer.ok : inWords(answer);
    if (typeof said === "string") this.tell(said);
  }
}

interface Entry {
  readonly name: PanelAction;
  readonly action: Action;
  readonly row: HTMLElement;
}

/** What stands behind the three dots: scale, extend, cancel the session. */
export class Actions {
  readonly node = make("div", "bv-actions");
  private readonly entries: Entry[] = [];

  constructor(
    private readonly host: Host,
    private readonly tell: (words: string) => void,
  ) {
    const workers = field("Workers", "");
    const hours = field("Longer by hours", "1");
    const budget = field("Budget in $", "");
    workers.input.min = "1";
    budget.input.step = "0.01";
    hours.input.step = "0.5";
    this.add("scale", "Scale", "", () => host.ask("scale", { workers: whole(workers.input) }), workers.node);
    const extend = (): Promise<Answer> =>
      host.ask("extend", {
        ...(hours.input.value ? { seconds: Math.round(Number(hours.input.value) * 3600) } : {}),
        ...(budget.input.value ? { budget: Math.round(Number(budget.input.value) * 1_000_000) } : {}),
      });
    this.add("extend", "Extend", "", extend, hours.node, budget.node);
    this.add("cancel_session", "Cancel the session", "Stop all its jobs?", () => host.ask("cancel_session"));
  }

  draw(): void {
    for (const { name, action, row } of this.entries) {
      const off = this.host.can(name);
      row.hidden = off === null;
      action.allow(off);
    }
  }

  /** Whether there is anything behind the dots. */
  get any(): boolean {
    return this.entries.some(({ name }) => this.host.can(name) !== null);
  }

  stop(): void {
    for (const { action } of this.entries) action.stop();
  }

  private add(name: PanelAction, label: string, question: string, act: () => Promise<Answer>, ...fields: HTMLElement[]): void {
    const action = new Action(label, question, act, this.tell);
    const row = make("div", "bv-action-row");
    row.append(...fields, action.node);
    this.node.append(row);
    this.entries.push({ name, action, row });
  }
}

function whole(input: HTMLInputElement): number {
  return Math.round(Number(input.value));
}

function field(label: string, value: string): { node: HTMLElement; input: HTMLInputElement } {
  const node = make("span", "bv-field");
  const name = make("label", "", label);
  const input = make("input");
  input.type = "number";
  input.min = "0";
  input.value = value;
  input.id = fresh("field");
  name.htmlFor = input.id;
  node.append(name, input);
  // Typed letters are not the notebook's commands.
  input.addEventListener("keydown", (event) => {
    event.stopPropagation();
  });
  return { node, input };
}
