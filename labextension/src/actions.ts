// What a reader can do. What costs or destroys asks a second time in the same place; a control that is off says why.

import { button, fresh, make } from "./dom.js";
import { inWords, type Answer, type Host, type HostAction } from "./host.js";
import { extending, scaling, stopping } from "./questions.js";

const ASKING = 4000; // milliseconds that a question stands
const PATIENCE = 3000; // milliseconds without an answer before the reader is told to wait

/** Does one thing, after a second click if there is a question; says instead what is missing for it. */
export class Action {
  readonly node: HTMLButtonElement;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private asked = ""; // the question that stands, or ""
  private busy = false;
  private off = "";

  constructor(
    private readonly label: string,
    private readonly question: () => string,
    private readonly act: () => Promise<Answer>,
    private readonly tell: (words: string) => void,
    private readonly missing: () => string = () => "",
    private readonly waiting = "Asked; no answer yet. A busy kernel answers when its cell ends.",
  ) {
    this.node = button("bv-button", label, () => {
      this.click();
    });
  }

  /** On with "", off with a reason; null: this host does not offer it. */
  allow(off: string | null): void {
    this.node.hidden = off === null;
    this.off = off ?? "";
    if (off && this.asked) this.rest();
    this.node.setAttribute("aria-disabled", String(Boolean(off) || this.busy));
    this.node.title = this.off;
  }

  stop(): void {
    clearTimeout(this.timer);
  }

  private click(): void {
    if (this.busy) return;
    const wrong = this.off || this.missing();
    const question = this.question();
    if (wrong) this.tell(wrong);
    else if (question !== this.asked) this.ask(question); // also when its numbers have changed since
    else void this.run();
  }

  private ask(question: string): void {
    this.rest();
    this.asked = question;
    this.node.classList.add("bv-sure");
    this.node.textContent = question;
    this.timer = setTimeout(() => {
      this.rest();
    }, ASKING);
  }

  private rest(): void {
    clearTimeout(this.timer);
    this.asked = "";
    this.node.classList.remove("bv-sure");
    this.node.textContent = this.label;
  }

  private async run(): Promise<void> {
    this.rest();
    this.busy = true;
    this.node.setAttribute("aria-disabled", "true");
    this.timer = setTimeout(() => {
      this.tell(this.waiting);
    }, PATIENCE);
    const answer = await this.act().catch((error: unknown): Answer => ({ problem: String(error) }));
    clearTimeout(this.timer);
    this.busy = false;
    this.allow(this.off);
    const said = answer.problem === undefined ? answer.ok : inWords(answer);
    if (typeof said === "string") this.tell(said);
  }
}

interface Wish {
  readonly label: string;
  readonly question: () => string;
  readonly act: () => Promise<Answer>;
  readonly missing?: () => string;
  readonly fields?: readonly HTMLElement[];
}

interface Entry {
  readonly name: HostAction;
  readonly action: Action;
  readonly row: HTMLElement;
}

/** What stands behind the three dots: collect, scale, extend, stop the workers, cancel the session. */
export class Actions {
  readonly node = make("div", "bv-actions");
  private readonly entries: Entry[] = [];

  constructor(
    private readonly host: Host,
    private readonly tell: (words: string) => void,
  ) {
    this.add("collect", {
      label: "Collect",
      question: () => "", // it costs nothing
      act: () => host.ask("collect"),
    });
    const workers = field("Workers", { min: "1", step: "1" });
    const hours = field("Longer by hours", { min: "0", step: "0.5" });
    const budget = field("Budget in $", { min: "0", step: "0.01" });
    const wanted = (): number => Math.round(positive(workers.input));
    this.add("scale", {
      label: "Scale",
      fields: [workers.node],
      missing: () => (wanted() ? "" : "Say how many workers there shall be: 1 or more"),
      question: () => scaling(host.frame(), wanted()),
      act: () => host.ask("scale", { workers: wanted() }),
    });
    const seconds = (): number => Math.round(positive(hours.input) * 3600);
    const micros = (): number => Math.round(positive(budget.input) * 1_000_000);
    this.add("extend", {
      label: "Extend",
      fields: [hours.node, budget.node],
      missing: () => (seconds() || micros() ? "" : "Say how many hours longer it may run, or what it may cost"),
      question: () => extending(host.frame(), seconds(), micros()),
      act: () => host.ask("extend", { ...(seconds() ? { seconds: seconds() } : {}), ...(micros() ? { budget: micros() } : {}) }),
    });
    this.add("cleanup", {
      label: "Stop the workers",
      question: () => stopping(host.frame()),
      act: () => host.ask("cleanup"),
    });
    this.add("cancel_session", {
      label: "Cancel the session",
      question: () => "Stop all its jobs?",
      act: () => host.ask("cancel_session"),
    });
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

  private add(name: HostAction, { label, question, act, missing, fields = [] }: Wish): void {
    const action = new Action(label, question, act, this.tell, missing);
    const row = make("div", "bv-action-row");
    row.append(...fields, action.node);
    this.node.append(row);
    this.entries.push({ name, action, row });
  }
}

/** What a field says, 0 if that is no positive number. */
function positive(input: HTMLInputElement): number {
  return Math.max(0, Number(input.value) || 0);
}

function field(label: string, limits: { min: string; step: string }): { node: HTMLElement; input: HTMLInputElement } {
  const node = make("span", "bv-field");
  const name = make("label", "", label);
  const input = make("input");
  input.type = "number";
  input.min = limits.min;
  input.step = limits.step;
  input.id = fresh("field");
  name.htmlFor = input.id;
  node.append(name, input);
  // Typed letters are not the notebook's commands.
  input.addEventListener("keydown", (event) => {
    event.stopPropagation();
  });
  return { node, input };
}
