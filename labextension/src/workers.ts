// The workers: how many in one table at once, and what each does now when the reader looks.

import { make, say } from "./dom.js";
import type { WorkerRow, WorkersPage } from "./frame.js";
import { inWords, type Answer, type Host } from "./host.js";
import { Lanes } from "./lanes.js";
import { Rows } from "./rows.js";
import { age, count, duration, plural } from "./words.js";

const AGAIN = 5000; // milliseconds between two looks while the section is open

/** When the list was read last (0: never), and whether the job was over by then. */
export interface Look {
  readonly at: number;
  readonly over: boolean;
}

/** Whether to read the list: now and then while the job runs, and once after its end, for what was read before goes on saying "task 7". */
export function isDue(last: Look, over: boolean, at: number): boolean {
  if (last.at === 0) return true;
  return over ? !last.over : at - last.at > AGAIN;
}

export class Workers {
  private readonly summary = make("p", "bv-quiet");
  private readonly table = new Rows(["Worker", "Now", "Memory", "Since"]);
  private readonly trouble = make("p", "bv-trouble");
  private readonly lanes: Lanes;
  private last: Look = { at: 0, over: false };

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
    const at = Date.now();
    if (!isDue(this.last, over, at)) return;
    this.last = { at, over };
    void this.read(now);
  }

  private async read(now: number): Promise<void> {
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
