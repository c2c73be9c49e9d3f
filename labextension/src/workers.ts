// The workers: how many in one table at once, and what each does now when the reader looks.

import { make, say } from "./dom.js";
import type { WorkerRow, WorkersPage } from "./frame.js";
import { inWords, type Answer, type Host } from "./host.js";
import { Lanes } from "./lanes.js";
import { Rows } from "./rows.js";
import { age, count, duration, plural } from "./words.js";

const AGAIN = 5000; // milliseconds between two looks while the section is open

export class Workers {
  private readonly summary = make("p", "bv-quiet");
  private readonly table = new Rows(["Worker", "Now", "Memory", "Since"]);
  private readonly trouble = make("p", "bv-trouble");
  private readonly lanes: Lanes;
  private asked = 0;

  constructor(
    body: HTMLElement,
    private readonly host: Host,
  ) {
    this.lanes = new Lanes(host);
    body.append(this.summary, this.table.node, this.trouble, this.lanes.node);
  }

  /** Also when the canvas comes back onto the screen, or the theme changes. */
  paint(): void {
    this.lanes.paint();
  }

  stop(): void {
    this.lanes.stop();
  }

  /** Draws the numbers, and asks for the list if that is due. `now`: seconds since the epoch by the store's clock. */
  draw(facts: readonly (readonly [string, string])[], over: boolean, now: number): void {
    say(this.summary, facts.map(([label, text]) => `${label}: ${text}`).join(" · "));
    const due = this.asked === 0 || (!over && Date.now() - this.asked > AGAIN);
    if (due) void this.read(now);
  }

  private async read(now: number): Promise<void> {
    this.asked = Date.now();
    const answer = (await this.host.ask("workers")) as Answer<WorkersPage>;
    say(this.trouble, answer.problem === undefined ? "" : inWords(answer));
    if (answer.problem !== undefined) return;
    const rows = answer.ok.workers.map((worker) => [worker.name, doing(worker, now), memory(worker), age(now - worker.started)]);
    this.table.draw(answer.ok.more ? [...rows, [`and ${count(answer.ok.more)} more`]] : rows);
  }
}

/** What a worker is at: its end, its stage, or the tasks in its slots. */
export function doing(worker: WorkerRow, now: number): string {
  if (worker.ended) return `ended: ${worker.ended}`;
  if (worker.stage) return worker.stage;
  const busy = worker.slots.flatMap(({ task, since }) =>
    task === null ? [] : [`task ${count(task)}${since === null ? "" : ` for ${duration(now - since)}`}`],
  );
  return busy.join(", ") || (worker.slots.length ? `idle, ${plural(worker.slots.length, "slot")}` : "idle");
}

function memory(worker: WorkerRow): string {
  const used = worker.slots.reduce((sum, slot) => sum + slot.memory_mb, 0);
  return used ? `${count(Math.round(used))} MiB` : "";
}
